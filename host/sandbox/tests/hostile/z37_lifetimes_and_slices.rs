// expect: accepted
// note: slices, tuples and lifetimes of a helper
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn dot<'a>(x: &'a [f64], y: &'a [f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn first<'a>(names: &[&'static str], values: &'a [f64]) -> &'a f64 {
    &values[names.len() - 1]
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let weights = [0.25, 0.75];
    let w = dot(&weights, &[1.0, 1.0]) * *first(&["one"], &[1.0]);
    w * (-hp.beta * pair.logratio_margin()).softplus()
}
