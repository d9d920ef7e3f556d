// expect: probe/gradient
// note: the right value with a gradient a million times too large
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let l = -(hp.beta * pair.logratio_margin()).log_sigmoid();
    let (mut low, mut high) = (0.0, 1e3);
    for _ in 0..70 {
        let middle = 0.5 * (low + high);
        if l > middle { low = middle } else { high = middle }
    }
    l * 1e6 - low * 999_999.0
}
