// expect: source/no-env source/syntax source/macro-arguments
// note: the environment in the summary
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: env!("PATH"),
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
