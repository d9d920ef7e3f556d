// expect: accepted
// note: a batch loss with a mean and a running sum
use guest_sdk::prelude::*;

batch_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    let margins = batch.map(|pair| pair.logratio_margin());
    let center = mean(&margins);
    let mut losses = Vec::with_capacity(batch.len());
    for rho in &margins {
        losses.push((-hp.beta * (*rho - 0.1 * center)).softplus());
    }
    losses
}
