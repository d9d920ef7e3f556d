// expect: source/macros
// note: defines symbols in assembly
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

core::arch::global_asm!(".globl evil", "evil:", "end_function");

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
