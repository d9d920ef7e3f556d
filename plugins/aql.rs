//! Adaptive Quantile Loss, discovered by an LLM (Lu et al. 2024, arXiv:2406.08414).
//!
//! loss = q ln(1 + e⁻ˣ) + (1 − q) max(0, 1 − x), with x = β ρ, ρ the margin of the log-ratios,
//! q = σ(τ m − x) and m = 0.5 + 0.01 (mean of σ(x/τ) over the batch − 0.5): a quantile moved a hundredth
//! of the way to the share of margins above 0.
use guest_sdk::prelude::*;

batch_loss! {
    name: "aql",
    summary: "logistic loss below an adaptive quantile of the margins, hinge above",
    citation: "arXiv:2406.08414",
    hyperparameters: { beta: 0.05 in 0.001..=10.0, tau: 0.05 in 0.001..=10.0 },
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    let x = batch.map(|pair| hp.beta * pair.logratio_margin());
    let above_zero: Vec<_> = x.iter().map(|x| (x / hp.tau).sigmoid()).collect();
    let quantile = 0.5 + 0.01 * (mean(&above_zero) - 0.5);
    let blend = |x: &Var<'t>| {
        let q = (hp.tau * quantile - x).sigmoid();
        let logistic = (-x).softplus();
        let hinge = (1.0 - x).relu();
        q * logistic + (1.0 - q) * hinge
    };
    x.iter().map(blend).collect()
}
