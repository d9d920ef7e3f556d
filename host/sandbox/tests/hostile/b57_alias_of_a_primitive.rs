// expect: source/no-unsound-types
// note: a function pointer under the name of a number, cast to another
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

type u64 = fn(f64) -> f64;
fn g(x: u64) -> usize { x as usize }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
