// expect: source/no-include
// note: a file in the argument of an allowed macro
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let v = vec![include_bytes!("/etc/hostname").len()];
    v[0] as f64 * pair.policy_chosen
}
