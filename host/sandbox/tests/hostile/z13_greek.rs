// expect: accepted
// note: Greek letters, as in the paper
use guest_sdk::prelude::*;

pair_loss! {
    name: "candidate",
    summary: "a candidate",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

const ε: f64 = 1e-3;

fn σρ(ρ: Dual, β: f64) -> Dual {
    (ρ * β).sigmoid()
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(σρ(pair.logratio_margin(), hp.beta) * (1.0 - ε) + ε).ln()
}
