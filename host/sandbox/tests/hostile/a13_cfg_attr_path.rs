// expect: source/no-modules
// note: a path attribute behind cfg_attr
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[cfg_attr(all(), path = "/etc/group")]
mod table;

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
