//! KTO on pairs (Ethayarajh et al. 2024, arXiv:2402.01306), in the paired form that DiscoPOP starts from.
//!
//! loss = 1 − σ(β (a − z_l)) + 1 − σ(β (z_w − b)), where a and b are the chosen and the rejected log-ratio,
//! z_w = max(0, mean a) and z_l = max(0, mean b) over the batch. Gradients flow through both means. The
//! published code averages the two terms of a pair; this is their sum.
use guest_sdk::prelude::*;

batch_loss! {
    name: "kto_pair",
    summary: "each completion's log-ratio against the batch mean of the other kind",
    citation: "arXiv:2402.01306",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    let z_chosen = mean(&batch.map(|pair| pair.chosen_logratio())).relu();
    let z_rejected = mean(&batch.map(|pair| pair.rejected_logratio())).relu();
    batch.map(|pair| {
        let chosen = hp.beta * (pair.chosen_logratio() - z_rejected);
        let rejected = hp.beta * (z_chosen - pair.rejected_logratio());
        // 1 − σ(x) = σ(−x), which keeps its digits
        (-chosen).sigmoid() + (-rejected).sigmoid()
    })
}
