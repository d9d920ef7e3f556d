// expect: run/fuel
// note: work that grows with the square of the batch
use guest_sdk::prelude::*;

batch_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    batch.iter().map(|a| {
        let mut sum = hp.beta * a.logratio_margin();
        for b in batch.iter() { for c in batch.iter() { sum = sum + (b.logratio_margin() - c.logratio_margin()) * 1e-9; } }
        -sum.log_sigmoid()
    }).collect()
}
