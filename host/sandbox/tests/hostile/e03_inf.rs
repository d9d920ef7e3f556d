// expect: probe/finite
// note: the logarithm of zero
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let d = pair.policy_chosen - pair.policy_chosen;
    -d.ln() + pair.policy_rejected
}
