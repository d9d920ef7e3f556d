// expect: source/no-pointers
// note: the constructor of a variant as a number
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

enum E { A(f64) }

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let n = E::A as usize; -((n as f64) * pair.logratio_margin())
}
