// expect: source/no-pointers
// note: a value that depends on where the stack lies
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let here = 0u8;
    let address = &here as *const u8 as usize;
    (address % 97) as f64 * pair.policy_chosen
}
