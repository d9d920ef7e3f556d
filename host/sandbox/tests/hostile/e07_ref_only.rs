// expect: accepted
// note: depends on the reference alone: harmless, with a warning
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = hp.beta * (pair.reference_rejected - pair.reference_chosen);
    0.0 * pair.policy_chosen + x * x
}
