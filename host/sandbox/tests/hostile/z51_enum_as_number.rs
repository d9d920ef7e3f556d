// expect: accepted
// note: an enum without fields as a number
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[derive(Clone, Copy)]
enum Weight { Low = 1, High = 2 }

fn weight(n: u32) -> Weight { if n > 10 { Weight::High } else { Weight::Low } }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * (weight(pair.chosen_tokens) as i32 as f64) * pair.logratio_margin()).log_sigmoid()
}
