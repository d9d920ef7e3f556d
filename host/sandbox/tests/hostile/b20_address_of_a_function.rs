// expect: source/no-pointers
// note: a function as a number
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn helper() {}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    (helper as usize % 97) as f64 * pair.policy_chosen
}
