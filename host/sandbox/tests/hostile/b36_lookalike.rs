// expect: source/lookalikes
// note: two names that look the same
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const scаle: f64 = -1.0;
const scale: f64 = 1.0;

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    scаle * scale * pair.policy_chosen
}
