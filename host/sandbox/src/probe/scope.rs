//! `probe/scope`

use guest_sdk::{Metadata, Scope};

use super::inputs::{Batch, rows};
use super::{Caller, page};
use crate::rules::Rule;
use crate::{Evaluation, Failure};

pub(super) const RULE: Rule = page(
    "probe/scope",
    "a loss of scope pair whose rows depend on other rows",
    "gradient accumulation and reuse of results rely on the scope",
    "declare it with batch_loss!",
    "",
);

/// Permutes and splits every batch: for scope `pair`, each row must keep its numbers bit for bit.
pub(super) fn check(
    caller: &mut Caller,
    metadata: &Metadata,
    batches: &[Batch],
    evaluations: &[Evaluation],
) -> Result<(), Failure> {
    if matches!(metadata.scope, Scope::Batch) {
        return Ok(());
    }
    for (batch, evaluation) in batches.iter().zip(evaluations) {
        let n_pairs = batch.pairs.len();
        let reversed: Vec<usize> = (0..n_pairs).rev().collect();
        let first_third: Vec<usize> = (0..n_pairs.div_ceil(3)).collect();
        for picked in [reversed, first_third] {
            let got = caller.evaluate(&rows(&batch.pairs, picked.iter().copied()))?;
            if let Some(place) = first_difference(&got, evaluation, &picked) {
                let message = format!(
                    "row {} of {:?} changes with the rows around it",
                    picked[place], batch.name
                );
                return Err(RULE.rejection(message).into());
            }
        }
    }
    Ok(())
}

fn first_difference(got: &Evaluation, whole: &Evaluation, picked: &[usize]) -> Option<usize> {
    picked.iter().enumerate().position(|(place, &row)| {
        let pairs = [
            (&got.losses, &whole.losses),
            (&got.policy_chosen, &whole.policy_chosen),
            (&got.policy_rejected, &whole.policy_rejected),
        ];
        pairs
            .iter()
            .any(|(got, whole)| got[place].to_bits() != whole[row].to_bits())
    })
}
