// expect: source/attributes
// note: an attribute where the tree has none
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const X: [f64; 0] = [];

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let _ = vec![#[cfg(all())] 1.0];
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
