// expect: source/items
// note: counts the calls
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

static CALLS: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    f64::from(CALLS.fetch_add(1, core::sync::atomic::Ordering::Relaxed)) * pair.policy_chosen
}
