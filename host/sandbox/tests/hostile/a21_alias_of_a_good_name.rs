// expect: source/no-include
// note: a reader of files under the name of a harmless macro
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

use core::include_str as vec;
const L: &str = vec!("/etc/passwd");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    L.len() as f64 * pair.policy_chosen
}
