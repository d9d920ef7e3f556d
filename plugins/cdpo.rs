//! Conservative DPO (Mitchell 2023, "A note on DPO with noisy preferences & relationship to IPO").
//!
//! loss = −(1 − ε) ln σ(β ρ) − ε ln σ(−β ρ), where ρ is the margin of the log-ratios and ε the share of
//! pairs whose label is taken to be flipped. The note leaves ε to the data; 0.1 is one pair in ten.
use guest_sdk::prelude::*;

pair_loss! {
    name: "cdpo",
    summary: "DPO for labels of which a share is flipped",
    citation: "https://ericmitchell.ai/cdpo.pdf",
    hyperparameters: { beta: 0.1 in 0.001..=10.0, label_smoothing: 0.1 in 0.0..=0.5 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = hp.beta * pair.logratio_margin();
    let epsilon = hp.label_smoothing;
    -(1.0 - epsilon) * x.log_sigmoid() - epsilon * (-x).log_sigmoid()
}
