// expect: accepted
// note: identifiers that contain hostile words
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn unsafe_margin(a: Dual, b: Dual) -> Dual {
    a - b
}
const ENV_SCALE: f64 = 1.0;

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let include_str_len = unsafe_margin(pair.policy_chosen, pair.policy_rejected);
    (-include_str_len * hp.beta * ENV_SCALE).softplus()
}
