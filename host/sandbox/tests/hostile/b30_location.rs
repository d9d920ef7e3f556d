// expect: source/paths
// note: the path of the build by the caller's place
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    core::panic::Location::caller().file().len() as f64 * pair.policy_chosen
}
