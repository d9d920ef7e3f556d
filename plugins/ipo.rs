//! Identity Preference Optimization (Azar et al. 2023, arXiv:2310.12036, eq. 17), on summed log-probs.
//!
//! loss = (ρ − 1/(2β))², where ρ is the margin of the log-ratios. β is the paper's τ.
use guest_sdk::prelude::*;

pair_loss! {
    name: "ipo",
    summary: "squared distance of the log-ratio margin from 1/(2 beta)",
    citation: "arXiv:2310.12036",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    (pair.logratio_margin() - 0.5 / hp.beta).square()
}
