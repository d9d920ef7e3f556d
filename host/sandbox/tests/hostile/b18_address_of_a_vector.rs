// expect: source/no-pointers
// note: an address without a pointer type
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let v = vec![0.0_f64];
    let address = v.as_ptr() as usize;
    (address % 97) as f64 * pair.policy_chosen
}
