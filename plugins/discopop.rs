//! DiscoPOP, also called Log Ratio Modulated Loss (Lu et al. 2024, arXiv:2406.08414).
//!
//! loss = σ(−x/τ) ln(1 + e⁻ˣ) + σ(x/τ) e⁻ˣ with x = β ρ, where ρ is the margin of the log-ratios. Logistic
//! far below 0, exponential far above, and not convex between: at x = 0 it pushes the margin down.
use guest_sdk::prelude::*;

pair_loss! {
    name: "discopop",
    summary: "logistic and exponential loss, blended by the margin itself",
    citation: "arXiv:2406.08414",
    hyperparameters: { beta: 0.05 in 0.001..=10.0, tau: 0.05 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = hp.beta * pair.logratio_margin();
    let logistic = (-x).softplus();
    // σ(x/τ) e⁻ˣ as one exponential: the product would be 0·∞ where x is very negative
    let modulated_exponential = ((x / hp.tau).log_sigmoid() - x).exp();
    (-x / hp.tau).sigmoid() * logistic + modulated_exponential
}
