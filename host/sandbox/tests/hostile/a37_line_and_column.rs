// expect: source/macros
// note: line!, column! and module_path! tell where a file lies
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const N: u32 = line!() + column!();

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    f64::from(N) * pair.policy_chosen
}
