// expect: compile/rustc
// note: a type that is too large for the machine
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

type T = [[[[u8; 65535]; 65535]; 65535]; 65535];

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    size_of::<T>() as f64 * pair.policy_chosen
}
