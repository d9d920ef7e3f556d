//! Dynamic Blended Adaptive Quantile Loss, discovered by an LLM (Lu et al. 2024, arXiv:2406.08414).
//!
//! loss = c ln(1 + e^(−x/0.9)) + (1 − c) e^(−0.9 x), with x = β ρ, ρ the margin of the log-ratios, and
//! c = σ(variance of x/τ over the batch): the more the margins differ, the more logistic the loss.
use guest_sdk::prelude::*;

batch_loss! {
    name: "dbaql",
    summary: "logistic and exponential loss, blended by the variance of the margins",
    citation: "arXiv:2406.08414",
    hyperparameters: { beta: 0.05 in 0.001..=10.0, tau: 0.05 in 0.001..=10.0 },
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    let x = batch.map(|pair| hp.beta * pair.logratio_margin());
    let scaled: Vec<_> = x.iter().map(|x| x / hp.tau).collect();
    let spread = variance(&scaled);
    let c = spread.sigmoid();
    let blend = |x: &Var<'t>| {
        let logistic = (-x / 0.9).softplus();
        // (1 − c) e^(−0.9 x) as one exponential: 1 − c alone would vanish before e^(−0.9 x) is large
        let faded_exponential = ((-spread).log_sigmoid() - 0.9 * x).exp();
        c * logistic + faded_exponential
    };
    x.iter().map(blend).collect()
}
