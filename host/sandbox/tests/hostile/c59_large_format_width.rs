// expect: accepted run/trap run/fuel
// note: a message of the width of memory
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    if pair.chosen_tokens > 0 { panic!("{:>1$}", 1, usize::MAX) } pair.policy_chosen
}
