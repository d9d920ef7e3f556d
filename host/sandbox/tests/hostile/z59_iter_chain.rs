// expect: accepted
// note: iterators, folds and zips
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let w = [0.2, 0.3, 0.5]; let s: f64 = w.iter().zip([1.0, 1.0, 1.0].iter()).map(|(a, b)| a * b).fold(0.0, |a, b| a + b); -(s * hp.beta * pair.logratio_margin()).log_sigmoid()
}
