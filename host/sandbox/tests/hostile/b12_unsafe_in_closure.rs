// expect: source/no-unsafe
// note: unsafe in a constant of a closure
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const F: fn(f64) -> f64 = |x| unsafe { core::mem::transmute(x) };

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
