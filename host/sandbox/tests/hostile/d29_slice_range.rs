// expect: run/trap
// note: a range that ends before it begins
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let v = [1.0, 2.0, 3.0]; let n = (pair.chosen_tokens % 3) as usize; v[n..n - n.min(1)].iter().sum::<f64>() * pair.logratio_margin()
}
