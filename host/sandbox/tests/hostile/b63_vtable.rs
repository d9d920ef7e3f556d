// expect: source/no-unsound-types
// note: a trait object of a trait with a type of its own
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn f(x: &dyn core::ops::Fn(f64) -> f64, y: &dyn core::ops::Add<f64, Output = f64>) {}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
