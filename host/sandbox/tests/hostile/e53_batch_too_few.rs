// expect: run/error
// note: a batch loss that leaves out a row
use guest_sdk::prelude::*;

batch_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    batch.iter().skip(1).map(|pair| -(hp.beta * pair.logratio_margin()).log_sigmoid()).collect()
}
