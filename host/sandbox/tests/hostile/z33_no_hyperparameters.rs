// expect: accepted
// note: a loss without hyperparameters
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: {},
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    (-(0.1 * pair.logratio_margin())).softplus()
}
