//! `probe/deterministic`

use super::inputs::Batch;
use super::{Caller, page};
use crate::rules::Rule;
use crate::{Evaluation, Failure, Guest};

pub(super) const RULE: Rule = page(
    "probe/deterministic",
    "results that differ between two calls, or between two processes, with the same pairs",
    "a loss is stateless; the same seed must give the same leaderboard",
    "compute from the arguments alone",
    "",
);

/// Calls everything again in the reverse order, and once more in another process.
pub(super) fn check(
    caller: &mut Caller,
    other: Guest,
    batches: &[Batch],
    evaluations: &[Evaluation],
) -> Result<(), Failure> {
    for (batch, expected) in batches.iter().zip(evaluations).rev() {
        same(
            batch.name,
            "a second call",
            &caller.evaluate(&batch.pairs)?,
            expected,
        )?;
    }
    let first = std::mem::replace(&mut caller.guest, other);
    for (batch, expected) in batches.iter().zip(evaluations) {
        same(
            batch.name,
            "another process",
            &caller.evaluate(&batch.pairs)?,
            expected,
        )?;
    }
    drop(first);
    Ok(())
}

fn same(name: &str, what: &str, got: &Evaluation, expected: &Evaluation) -> Result<(), Failure> {
    match bits(got) == bits(expected) {
        true => Ok(()),
        false => Err(RULE
            .rejection(format!("{what} gives other numbers for {name:?}"))
            .into()),
    }
}

/// The numbers as bits, so that −0 is not 0.
pub(super) fn bits(evaluation: &Evaluation) -> Vec<u64> {
    let lists = [
        &evaluation.losses,
        &evaluation.policy_chosen,
        &evaluation.policy_rejected,
    ];
    lists
        .into_iter()
        .flatten()
        .map(|value| value.to_bits())
        .collect()
}
