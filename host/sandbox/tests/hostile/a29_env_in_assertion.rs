// expect: source/no-env
// note: the environment in the message of an allowed macro
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    assert!(hp.beta > 0.0, "{}", env!("HOME"));
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
