// expect: source/paths
// note: a safe function that takes all memory
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let pages = core::arch::wasm32::memory_grow(0, 512);
    pages as f64 * pair.policy_chosen
}
