// expect: source/no-include source/paths
// note: imports a macro by the group of its own crate
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

use core::{self as c, include_str as s};
const X: &str = s!("/etc/hostname");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
