//! Direct Preference Optimization (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).
//!
//! loss = −ln σ(β ρ), where ρ is the margin of the log-ratios.
use guest_sdk::prelude::*;

pair_loss! {
    name: "dpo",
    summary: "negative log-sigmoid of the scaled log-ratio margin",
    citation: "arXiv:2305.18290",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
