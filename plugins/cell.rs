//! Combined Exponential and Logistic Loss, discovered by an LLM (Lu et al. 2024, arXiv:2406.08414).
//!
//! loss = ½ ln(1 + e⁻ˣ) + ½ e⁻ˣ with x = β ρ, where ρ is the margin of the log-ratios. By its definition it
//! overflows for x below −709.
use guest_sdk::prelude::*;

pair_loss! {
    name: "cell",
    summary: "half logistic, half exponential loss",
    citation: "arXiv:2406.08414",
    hyperparameters: { beta: 0.05 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = hp.beta * pair.logratio_margin();
    0.5 * (-x).softplus() + 0.5 * (-x).exp()
}
