// expect: accepted probe/finite
// note: not finite at the end of a hyperparameter's range
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin() / (hp.beta - 10.0)).log_sigmoid()
}
