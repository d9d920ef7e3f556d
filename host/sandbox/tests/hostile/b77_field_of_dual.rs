// expect: compile/rustc
// note: a private field of the SDK's type
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    pair.logratio_margin() * pair.policy_chosen.value
}
