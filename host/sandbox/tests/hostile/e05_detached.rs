// expect: probe/gradient
// note: a value rebuilt from comparisons strips the derivative: the loss moves, the gradient says zero
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = pair.logratio_margin();
    let (mut low, mut high) = (-1e5, 1e5);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if x > middle { low = middle } else { high = middle }
    }
    0.0 * x + (hp.beta * low - 1.0) * (hp.beta * low - 1.0)
}
