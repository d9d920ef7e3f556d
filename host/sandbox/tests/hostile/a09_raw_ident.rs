// expect: source/no-include
// note: a raw identifier keeps its r# in syn
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const L: &str = r#include_str!("/etc/passwd");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    L.len() as f64 * pair.policy_chosen
}
