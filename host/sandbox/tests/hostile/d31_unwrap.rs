// expect: run/trap
// note: what is not there
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x: Option<f64> = if pair.chosen_tokens > 1_000_000 { Some(1.0) } else { None }; x.unwrap() * pair.logratio_margin()
}
