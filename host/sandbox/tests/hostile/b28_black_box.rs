// expect: source/paths
// note: hides a value from the optimiser
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    core::hint::black_box(1.0) * pair.policy_chosen
}
