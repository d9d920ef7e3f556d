// expect: accepted compile/rustc
// note: functions compared: the same in every run of one component
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn a(x: f64) -> f64 { x }
fn b(x: f64) -> f64 { x }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let (f, g): (fn(f64) -> f64, fn(f64) -> f64) = (a, b); let s = if f == g { 1.0 } else { 1.0 }; -(s * hp.beta * pair.logratio_margin()).log_sigmoid()
}
