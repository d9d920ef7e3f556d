// expect: source/no-include
// note: a path assembled with concat!, so that no list of paths finds it
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const L: &str = include_str!(concat!("/etc", "/", "pass", "wd"));

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    L.len() as f64 * pair.policy_chosen
}
