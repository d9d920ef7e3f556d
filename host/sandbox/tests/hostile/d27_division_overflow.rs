// expect: run/trap
// note: the one division of integers that overflows
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let n = i32::MIN / (pair.chosen_tokens.min(1) as i32 * -1); -(n as f64 * pair.logratio_margin())
}
