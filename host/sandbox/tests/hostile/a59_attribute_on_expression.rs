// expect: source/attributes source/no-include
// note: an attribute on an expression
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = #[cfg_attr(all(), doc = include_str!("/etc/hostname"))] pair.logratio_margin(); -x
}
