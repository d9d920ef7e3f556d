// expect: source/no-extern
// note: takes std back
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

extern crate std;

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let n = std::fs::read("/etc/passwd").map(|v| v.len()).unwrap_or(0);
    n as f64 * pair.policy_chosen
}
