// expect: accepted
// note: a polynomial whose degree is a const parameter
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn horner<const N: usize>(x: Dual, c: [f64; N]) -> Dual {
    let mut y = x * 0.0;
    for k in c { y = y * x + k; }
    y / (N as i32 as f64)
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    horner((hp.beta * pair.logratio_margin()).tanh(), [0.5, -1.0, 0.25])
}
