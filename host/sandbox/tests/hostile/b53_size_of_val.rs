// expect: accepted
// note: the size of a value is no address
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    { let n = size_of::<f64>(); -(hp.beta * (n as f64 / 8.0) * pair.logratio_margin()).log_sigmoid() }
}
