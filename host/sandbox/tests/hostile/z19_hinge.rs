// expect: accepted
// note: a hinge with a target, and a nested function
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    fn hinge(x: Dual) -> Dual {
        (1.0 - x).relu()
    }
    let margin = pair.chosen_reward(hp.beta) - pair.rejected_reward(hp.beta);
    hinge(margin)
}
