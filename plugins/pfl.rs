//! Policy Focused Loss, discovered by an LLM (Lu et al. 2024, arXiv:2406.08414).
//!
//! loss = ½ ln(1 + e^(−x/τ)) where the policy puts the chosen completion above the rejected one, else
//! 2 max(0, 1 − x/τ), with x = β ρ and ρ the margin of the log-ratios. It jumps where the two completions
//! are equally likely; the gradient there is the hinge's.
use guest_sdk::prelude::*;

pair_loss! {
    name: "pfl",
    summary: "logistic loss for pairs in the right order, a steep hinge for the others",
    citation: "arXiv:2406.08414",
    hyperparameters: { beta: 0.05 in 0.001..=10.0, tau: 0.05 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let scaled = hp.beta * pair.logratio_margin() / hp.tau;
    if pair.policy_chosen > pair.policy_rejected {
        0.5 * (-scaled).softplus()
    } else {
        2.0 * (1.0 - scaled).relu()
    }
}
