// expect: source/items
// note: a tiny file with a gigabyte of zeros
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

static B: [core::sync::atomic::AtomicU8; 1 << 30] = [const { core::sync::atomic::AtomicU8::new(0) }; 1 << 30];

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    f64::from(B[pair.chosen_tokens as usize].fetch_add(1, core::sync::atomic::Ordering::Relaxed)) * pair.policy_chosen
}
