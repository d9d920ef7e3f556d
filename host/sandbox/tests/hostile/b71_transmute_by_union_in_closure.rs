// expect: source/items source/no-unsafe
// note: a union within a closure
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let f = |x: f64| { union U { a: f64, b: u64 } x }; f(1.0) * pair.logratio_margin()
}
