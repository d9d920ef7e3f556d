// expect: accepted
// note: a KTO-like batch loss with helpers and a lifetime
use guest_sdk::prelude::*;

batch_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn reference_point<'t>(margins: &[Var<'t>]) -> Var<'t> {
    mean(margins).maximum(0.0)
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    let chosen: Vec<Var<'t>> = batch.iter().map(|pair| pair.chosen_logratio()).collect();
    let rejected: Vec<Var<'t>> = batch.iter().map(|pair| pair.rejected_logratio()).collect();
    let z0 = reference_point(&rejected);
    chosen
        .iter()
        .zip(rejected.iter())
        .map(|(&c, &r)| 1.0 - 0.5 * ((c - z0) * hp.beta).sigmoid() - 0.5 * ((z0 - r) * hp.beta).sigmoid())
        .collect()
}
