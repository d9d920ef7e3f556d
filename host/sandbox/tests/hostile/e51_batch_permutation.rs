// expect: accepted
// note: a batch loss that ranks its pairs by place: of scope batch it may
use guest_sdk::prelude::*;

batch_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    batch.iter().enumerate().map(|(row, pair)| -(hp.beta * (1.0 + row as f64 * 1e-3) * pair.logratio_margin()).log_sigmoid()).collect()
}
