// expect: source/macros
// note: assembly in a function
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    core::arch::asm!("unreachable");
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
