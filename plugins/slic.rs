//! Sequence Likelihood Calibration (Zhao et al. 2023, arXiv:2305.10425), on log-ratios as in Liu et al.
//! 2023 (arXiv:2309.06657).
//!
//! loss = max(0, 1 − β ρ), where ρ is the margin of the log-ratios.
use guest_sdk::prelude::*;

pair_loss! {
    name: "slic",
    summary: "hinge on the scaled log-ratio margin",
    citation: "arXiv:2305.10425",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    (1.0 - hp.beta * pair.logratio_margin()).relu()
}
