// expect: source/macros
// note: puts the path of the build into the plugin
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const F: &str = file!();

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    F.len() as f64 * pair.policy_chosen
}
