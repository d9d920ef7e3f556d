// expect: accepted
// note: a constant: harmless, with a warning
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let _ = hp.beta; pair.logratio_margin() * 0.0 + 1.0
}
