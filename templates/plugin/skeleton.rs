//! {{name}}: say here which idea this loss tries, and cite the paper if there is one.
//!
//! loss = ln(1 + e^(−β ρ)), where ρ is the margin of the log-ratios. Write the formula here as well.
use guest_sdk::prelude::*;

pair_loss! {
    name: "{{name}}",
    summary: "logistic loss on the log-ratio margin",
    // citation: "arXiv:2305.18290",
    // name: default in minimum..=maximum, separated by commas, all with a decimal point
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

/// The loss of one pair; the trainer averages over the batch. Gradients follow from the formula.
///
/// Beside `logratio_margin()`, a pair has `policy_chosen`, `policy_rejected`, `reference_chosen`,
/// `reference_rejected`, `chosen_tokens`, `rejected_tokens`, `chosen_logratio()`, `chosen_mean_logp()`, and more.
/// Numbers have `exp`, `ln`, `sigmoid`, `log_sigmoid`, `softplus`, `relu`, `tanh`, `abs`, `square`, `maximum`, ….
/// If a row needs the whole batch (a mean, an order), see `batch_loss!`.
fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = hp.beta * pair.logratio_margin();
    // softplus(-x) is ln(1 + e⁻ˣ) without overflow; at the start of training every x is 0
    (-x).softplus()
}
