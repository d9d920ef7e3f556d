// expect: run/trap
// note: divides integers by what may be 0
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let r = 9 / (pair.chosen_tokens - 1);
    f64::from(r) * pair.policy_chosen
}
