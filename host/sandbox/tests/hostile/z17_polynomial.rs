// expect: accepted
// note: Horner over a constant table with iterators
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const COEFFICIENTS: [f64; 4] = [0.01, 0.1, 0.5, 1.0];

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let t = (hp.beta * pair.logratio_margin()).tanh();
    let polynomial = COEFFICIENTS.iter().rev().fold(Dual::from(0.0), |sum, c| sum * t + *c);
    (-(hp.beta * pair.logratio_margin())).softplus() + 0.01 * polynomial.square()
}
