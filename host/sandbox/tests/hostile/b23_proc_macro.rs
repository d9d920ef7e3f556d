// expect: source/attributes
// note: an attribute macro from nowhere
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[ctor::ctor]
fn init() {}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
