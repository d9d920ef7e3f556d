// expect: probe/finite
// note: not a number at a margin of 900 alone
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = pair.logratio_margin(); if x > 900.0 { (x - x) / (x - x) } else { -(hp.beta * x).log_sigmoid() }
}
