//! Adaptive Quantile Feedback Loss, discovered by an LLM (Lu et al. 2024, arXiv:2406.08414).
//!
//! loss = r ln(1 + e⁻ˣ) + (1 − r) max(0, 1 − x), with x = β ρ, ρ the margin of the log-ratios,
//! r = σ(0.1 |x/τ − m₂|), m₂ = m₁ + 0.05 (σ(mean of x/τ) − m₁) and m₁ = std of x/τ · mean of σ(−x/τ), all
//! over the batch: the logistic share grows with a margin's distance from a moving quantile.
use guest_sdk::prelude::*;

batch_loss! {
    name: "aqfl",
    summary: "logistic loss far from an adaptive quantile of the margins, hinge near it",
    citation: "arXiv:2406.08414",
    hyperparameters: { beta: 0.05 in 0.001..=10.0, tau: 0.05 in 0.001..=10.0 },
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    let x = batch.map(|pair| hp.beta * pair.logratio_margin());
    let scaled: Vec<_> = x.iter().map(|x| x / hp.tau).collect();
    let below_zero: Vec<_> = scaled.iter().map(|z| (-z).sigmoid()).collect();
    let quantile = std_dev(&scaled) * mean(&below_zero);
    let quantile = quantile + 0.05 * (mean(&scaled).sigmoid() - quantile);
    let blend = |(x, z): (&Var<'t>, &Var<'t>)| {
        let r = (0.1 * (z - quantile).abs()).sigmoid();
        let logistic = (-x).softplus();
        let hinge = (1.0 - x).relu();
        r * logistic + (1.0 - r) * hinge
    };
    x.iter().zip(&scaled).map(blend).collect()
}
