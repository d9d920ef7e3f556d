// expect: probe/metadata source/hidden-characters source/syntax compile/rustc
// note: a name with a terminal sequence
use guest_sdk::prelude::*;

pair_loss! {
    name: "\u{1b}[2J",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
