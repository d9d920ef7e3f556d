// expect: source/no-include
// note: a file as a statement in a closure
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let f = || { include!("/etc/hostname"); }; f(); -pair.logratio_margin()
}
