// expect: accepted
// note: a table of functions that are only called
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn a(x: Dual) -> Dual { x }
fn b(x: Dual) -> Dual { x * 2.0 }
const T: [fn(Dual) -> Dual; 2] = [a, b];

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * T[(pair.chosen_tokens % 2) as usize](pair.logratio_margin())).log_sigmoid()
}
