// expect: probe/finite
// note: 0/0
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let z = 0.0 * pair.policy_chosen;
    z / z + pair.policy_chosen
}
