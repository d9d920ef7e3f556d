// expect: source/no-unsafe
// note: reads memory by address
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let p = 1024 as *const f64;
    unsafe { *p } * pair.policy_chosen
}
