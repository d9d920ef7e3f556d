// expect: source/no-unsafe
// note: exports a symbol of the bindings
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

#[unsafe(export_name = "cabi_realloc")]
pub fn v() -> u32 {
    999
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
