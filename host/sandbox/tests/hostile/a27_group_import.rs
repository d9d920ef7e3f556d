// expect: source/no-include
// note: the macro in a group of imports
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

use core::{cmp::max, include_bytes as b};
const Z: &[u8] = b!("/dev/zero");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    Z.len() as f64 * pair.policy_chosen
}
