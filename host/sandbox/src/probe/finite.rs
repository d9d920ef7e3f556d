//! `probe/finite`

use guest_sdk::Pairs;

use super::Caller;
use super::inputs::Batch;
use crate::rules::{Example, Rule};
use crate::{Evaluation, Failure, Rejection, Stage};

pub(super) const RULE: Rule = Rule {
    name: "probe/finite",
    stage: Stage::Probe,
    what: "losses or gradients that are NaN or infinite for log-ratios up to 1,000 nats, or NaN beyond, at default \
     hyperparameters",
    why: "one such number ends a training run",
    hint: "use the stable forms: log_sigmoid(x) for ln(sigmoid(x)), exp(log_sigmoid(z) - x) for sigmoid(z) * exp(-x)",
    rejected: Example::Source(NOT_FINITE),
    accepted: Example::PLAIN,
};

/// A logarithm of what may be negative.
const NOT_FINITE: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "example",
    summary: "logarithm of the scaled margin",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).ln()
}
"#;

/// One evaluation per batch.
pub(super) fn check(
    caller: &mut Caller<'_>,
    batches: &[Batch],
) -> Result<Vec<Evaluation>, Failure> {
    let mut evaluations = Vec::new();
    for batch in batches {
        let evaluation = caller.evaluate(&batch.pairs)?;
        all(&evaluation, f64::is_finite, |row| place(&batch.name, &batch.pairs, row))?;
        evaluations.push(evaluation);
    }
    Ok(evaluations)
}

/// Rejects the first number that is not as it must be.
pub(super) fn all(
    evaluation: &Evaluation,
    is_fine: fn(f64) -> bool,
    place: impl Fn(usize) -> String,
) -> Result<(), Rejection> {
    let lists = [
        ("the loss", &evaluation.losses),
        ("the gradient of policy_chosen", &evaluation.policy_chosen),
        ("the gradient of policy_rejected", &evaluation.policy_rejected),
    ];
    for (what, list) in lists {
        if let Some(row) = list.iter().position(|&value| !is_fine(value)) {
            return Err(RULE.rejection(format!("{what} is {} {}", list[row], place(row))));
        }
    }
    Ok(())
}

/// Where a row stands, in the numbers that an author thinks in.
pub(super) fn place(name: &str, pairs: &Pairs, row: usize) -> String {
    let chosen = pairs.policy_chosen_logps[row] - pairs.reference_chosen_logps[row];
    let rejected = pairs.policy_rejected_logps[row] - pairs.reference_rejected_logps[row];
    format!(
        "at row {row} of {name:?}: chosen log-ratio {chosen:.4}, rejected log-ratio {rejected:.4}, {} and {} tokens",
        pairs.chosen_tokens[row], pairs.rejected_tokens[row]
    )
}
