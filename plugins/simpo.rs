//! Simple Preference Optimization (Meng et al. 2024, arXiv:2405.14734, eq. 6).
//!
//! loss = −ln σ(β (policy chosen / |chosen| − policy rejected / |rejected|) − γ), without a reference. The
//! paper tunes β in 2.0 to 2.5 and γ in 0.3 to 1.6 for each model; its code starts from β = 2 and γ/β = 0.25.
use guest_sdk::prelude::*;

pair_loss! {
    name: "simpo",
    summary: "margin of the per-token log-probs beyond a target, without a reference",
    citation: "arXiv:2405.14734",
    hyperparameters: { beta: 2.0 in 0.01..=100.0, gamma: 0.5 in 0.0..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let margin = pair.chosen_mean_logp() - pair.rejected_mean_logp();
    -(hp.beta * margin - hp.gamma).log_sigmoid()
}
