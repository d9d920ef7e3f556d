// expect: source/no-include
// note: documentation from a file behind cfg_attr
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[cfg_attr(all(), doc = include_str!("/etc/passwd"))]
const X: f64 = 1.0;

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
