//! `probe/scope`

use guest_sdk::{Metadata, Scope};

use super::Caller;
use super::inputs::{Batch, REALISTIC, rows, uniforms};
use crate::rules::{Example, Rule};
use crate::{Evaluation, Failure, Stage};

pub(super) const RULE: Rule = Rule {
    name: "probe/scope",
    stage: Stage::Probe,
    what: "a loss of scope pair whose rows depend on other rows, on their place or on the size of the batch",
    why: "gradient accumulation and reuse of results rely on the scope",
    hint: "declare it with batch_loss!",
    rejected: Example::Crate(&[
        ("Cargo.toml", crate::source::PLAIN_MANIFEST),
        ("src/lib.rs", SHARE_OF_THE_BATCH),
    ]),
    accepted: Example::PLAIN,
};

/// The size of the batch is a property of all rows.
const SHARE_OF_THE_BATCH: &str = r#"#![no_std]

use guest_sdk::prelude::*;
use guest_sdk::{__String as Text, Gradients, Metadata, Pairs, PreferenceLoss, Scope};

pub struct Loss;

impl PreferenceLoss for Loss {
    fn describe() -> Metadata {
        Metadata {
            name: "example".into(),
            summary: "a share of the margin's mean".into(),
            citation: None,
            scope: Scope::Pair,
            hyperparameters: vec![],
        }
    }

    fn evaluate(pairs: &Pairs, _: &[f64]) -> Result<Gradients, Text> {
        let share = 1.0 / pairs.len() as f64;
        let rows = pairs.policy_chosen_logps.iter().zip(&pairs.policy_rejected_logps);
        Ok(Gradients {
            losses: rows.map(|(chosen, rejected)| share * (rejected - chosen)).collect(),
            policy_chosen: vec![-share; pairs.len()],
            policy_rejected: vec![share; pairs.len()],
        })
    }
}

guest_sdk::export!(Loss);
"#;

/// Permutes and splits every batch: for scope `pair`, each row must keep its numbers bit for bit.
pub(super) fn check(
    caller: &mut Caller<'_>,
    metadata: &Metadata,
    batches: &[Batch],
    evaluations: &[Evaluation],
) -> Result<(), Failure> {
    if matches!(metadata.scope, Scope::Batch) {
        return look_for_a_pair_loss(caller, batches, evaluations);
    }
    for (batch, evaluation) in batches.iter().zip(evaluations) {
        for picked in arrangements(batch) {
            let got = caller.evaluate(&rows(&batch.pairs, picked.iter().copied()))?;
            caller.report.n_arrangements += 1;
            if let Some(place) = first_difference(&got, evaluation, &picked) {
                let message = format!(
                    "row {} of {:?} changes with the rows around it: other numbers as row {place} of {} than among {}",
                    picked[place],
                    batch.name,
                    picked.len(),
                    batch.pairs.len()
                );
                return Err(RULE.rejection(message).into());
            }
        }
    }
    Ok(())
}

/// Rows of a batch in other orders, and parts of it; of the realistic one, a part of every size.
fn arrangements(batch: &Batch) -> Vec<Vec<usize>> {
    let n_pairs = batch.pairs.len();
    let third = n_pairs.div_ceil(3);
    let mut arrangements = vec![
        (0..n_pairs).rev().collect(),
        shuffled(n_pairs),
        (0..third).collect(),
        (third..n_pairs).collect(),
        // Twice each: a row that its twin changes.
        (0..n_pairs.min(64)).flat_map(|row| [row, row]).collect(),
    ];
    if batch.name == REALISTIC {
        // Taken round and round, so that the parts begin everywhere.
        arrangements
            .extend((1..n_pairs).map(|size| (0..size).map(|i| (size + i) % n_pairs).collect()));
    }
    arrangements.retain(|picked| !picked.is_empty());
    arrangements
}

/// Fisher and Yates.
fn shuffled(n: usize) -> Vec<usize> {
    let (mut order, mut uniform) = ((0..n).collect::<Vec<_>>(), uniforms(300));
    for last in (1..n).rev() {
        order.swap(last, (uniform() * (last + 1) as f64) as usize);
    }
    order
}

/// Nothing is wrong with scope `batch` for a loss that does not use it, but the author may not know.
fn look_for_a_pair_loss(
    caller: &mut Caller<'_>,
    batches: &[Batch],
    evaluations: &[Evaluation],
) -> Result<(), Failure> {
    for (batch, evaluation) in batches.iter().zip(evaluations) {
        let half: Vec<usize> = (0..batch.pairs.len().div_ceil(2)).collect();
        let got = caller.evaluate(&rows(&batch.pairs, half.iter().copied()))?;
        caller.report.n_arrangements += 1;
        if first_difference(&got, evaluation, &half).is_some() {
            return Ok(());
        }
    }
    caller.report.warnings.push(
        "is declared with batch_loss!, but no row depends on another: pair_loss! is the same and faster".to_owned(),
    );
    Ok(())
}

pub(super) fn first_difference(
    got: &Evaluation,
    whole: &Evaluation,
    picked: &[usize],
) -> Option<usize> {
    picked.iter().enumerate().position(|(place, &row)| {
        let pairs = [
            (&got.losses, &whole.losses),
            (&got.policy_chosen, &whole.policy_chosen),
            (&got.policy_rejected, &whole.policy_rejected),
        ];
        pairs.iter().any(|(got, whole)| got[place].to_bits() != whole[row].to_bits())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::inputs::batches;

    #[test]
    fn the_realistic_batch_is_split_into_parts_of_every_size() {
        let batches = batches(7);
        let realistic = batches.iter().find(|batch| batch.name == REALISTIC);
        let arrangements = arrangements(realistic.expect("it is one of them"));
        for size in 1..=64 {
            assert!(arrangements.iter().any(|picked| picked.len() == size), "{size}");
        }
    }

    #[test]
    fn a_shuffle_keeps_every_row_once_and_hardly_any_in_its_place() {
        let order = shuffled(49);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..49));
        let n_kept = order.iter().enumerate().filter(|(i, row)| i == *row).count();
        assert!(n_kept < 5, "{order:?}");
    }
}
