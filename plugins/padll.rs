//! Performance Adaptive Decay Logistic Loss, discovered by an LLM (Lu et al. 2024, arXiv:2406.08414).
//!
//! loss = 0.9 ln(1 + e^(−β ρ)) where ρ ≥ 0 and half of that where ρ < 0, ρ being the margin of the
//! log-ratios. The loss jumps at ρ = 0, from 0.45 ln 2 up to 0.9 ln 2; the gradient there is that of ρ ≥ 0.
use guest_sdk::prelude::*;

pair_loss! {
    name: "padll",
    summary: "logistic loss, halved for pairs that the policy still gets wrong",
    citation: "arXiv:2406.08414",
    hyperparameters: { beta: 0.05 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let margin = pair.logratio_margin();
    let weight = if margin < 0.0 { 0.45 } else { 0.9 };
    weight * (-hp.beta * margin).softplus()
}
