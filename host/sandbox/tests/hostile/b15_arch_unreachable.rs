// expect: source/paths
// note: a safe function that traps
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    if pair.chosen_tokens > 4000 {
        core::arch::wasm32::unreachable()
    }
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
