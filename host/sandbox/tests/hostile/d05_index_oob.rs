// expect: run/trap
// note: an index out of bounds for long replies
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let t = [0.1, 0.2, 0.3, 0.4];
    t[pair.chosen_tokens as usize / 100] * pair.policy_chosen
}
