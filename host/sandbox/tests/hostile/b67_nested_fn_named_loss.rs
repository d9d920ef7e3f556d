// expect: source/declares-a-loss accepted compile/rustc
// note: a second function of the name within the first
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    fn loss(x: Dual) -> Dual { -x } loss(pair.logratio_margin())
}
