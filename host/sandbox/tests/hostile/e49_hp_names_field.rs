// expect: probe/metadata
// note: a hyperparameter by a keyword
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { r#type: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.r#type * pair.logratio_margin()).log_sigmoid()
}
