// expect: source/syntax
// note: closes what a wrapper opened and opens what it closes
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
}
#[no_mangle] pub extern "C" fn evaluate() {}
mod rest {
