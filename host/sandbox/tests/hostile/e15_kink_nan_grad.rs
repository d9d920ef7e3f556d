// expect: probe/finite
// note: a finite value with a gradient of 0 times infinity
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let m = pair.policy_margin();
    m * m.square().sqrt() + m.square().ln() * 0.0
}
