// expect: accepted
// note: operators by trait, references and compound assignments
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

use core::ops::Mul;

fn scaled<T: Mul<f64, Output = T>>(x: T, by: f64) -> T {
    x * by
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let mut x = pair.policy_margin();
    x -= pair.reference_margin();
    x *= hp.beta;
    let y = &x;
    scaled((-y).softplus(), 1.0)
}
