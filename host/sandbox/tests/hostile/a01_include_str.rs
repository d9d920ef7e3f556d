// expect: source/no-include
// note: reads a host file into the plugin
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const LEAK: &str = include_str!("/etc/passwd");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    LEAK.len() as f64 * 1e-9 + -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
