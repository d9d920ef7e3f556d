// expect: source/no-extern
// note: links a library by path
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[link(name = "/tmp/evil", kind = "static")]
extern "C" {}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
