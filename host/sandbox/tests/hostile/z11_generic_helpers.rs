// expect: accepted
// note: helpers that are generic over Scalar
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn focal<S: Scalar>(x: S, power: i32) -> S {
    (-x).sigmoid().powi(power) * (-x).softplus()
}

fn blend<S>(a: S, b: S, t: f64) -> S
where
    S: Scalar,
{
    a * t + b * (1.0 - t)
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = hp.beta * pair.logratio_margin();
    blend(focal(x, 2), (-x).softplus(), 0.25)
}
