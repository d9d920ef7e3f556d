// expect: source/no-include
// note: an endless file: rustc would read until memory is gone
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

static Z: &[u8] = include_bytes!("/dev/zero");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    Z.len() as f64 * pair.policy_chosen
}
