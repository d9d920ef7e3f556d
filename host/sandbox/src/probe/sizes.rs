//! `probe/scope` and `probe/finite` at many sizes of a batch: so many pairs of the largest batch.
//!
//! A row of a loss of scope `pair` keeps its numbers bit for bit, however many rows follow it. Of a loss of scope `batch`
//! nothing is known beforehand but that its lists are as long as the batch and finite. Most sizes are not tried: one loss
//! per size would take a call for each, so what turns on a single untried size still passes.

use guest_sdk::{Metadata, Scope};

use super::inputs::{BLOCK, Batch, LARGEST, Rows, rows, uniforms};
use super::scope::{self, first_difference};
use super::{Caller, finite};
use crate::{Evaluation, Failure};

/// Every size up to this is tried.
const DENSE: usize = 64;
/// Sizes that people train with, and their neighbours.
const USUAL: [usize; 32] = [
    96, 100, 127, 128, 129, 192, 200, 255, 256, 257, 300, 384, 400, 500, 511, 512, 513, 640, 768,
    800, 1_000, 1_023, 1_024, 1_025, 1_536, 2_000, 2_047, 2_048, 2_049, 3_000, 4_000, 4_095,
];
/// Sizes drawn from the component's hash, so that another component is tried at others.
const N_DRAWN: usize = 20;
/// A size beyond the largest batch, which is taken round and round for it; a batch loss keeps a tape for its rows.
const BEYOND: usize = 2 * LARGEST;

/// Gives what was tried, for [`gradient`](super::gradient) to look at.
pub(super) fn check(
    caller: &mut Caller<'_>,
    metadata: &Metadata,
    batches: &[Batch],
    evaluations: &[Evaluation],
    seed: u64,
) -> Result<Vec<(Batch, Evaluation)>, Failure> {
    let mut tried = Vec::new();
    let largest = batches.iter().zip(evaluations);
    let Some((batch, whole)) = largest.max_by_key(|(batch, _)| batch.pairs.len()) else {
        return Ok(tried);
    };
    let is_pair = matches!(metadata.scope, Scope::Pair);
    for size in sizes(seed).chain(is_pair.then_some(BEYOND)) {
        // A part that fits into a block has log-ratios of one size, another one for the next part.
        let first = if size <= BLOCK { BLOCK * size } else { 0 };
        let picked: Vec<usize> = (0..size).map(|i| (first + i) % batch.pairs.len()).collect();
        let part = Batch {
            name: format!("a batch of {size} pairs").into(),
            pairs: rows(&batch.pairs, picked.iter().copied()),
            rows: Rows::Training,
        };
        let got = caller.evaluate(&part.pairs)?;
        caller.report.n_arrangements += 1;
        finite::all(&got, f64::is_finite, |row| finite::place(&part.name, &part.pairs, row))?;
        if is_pair && let Some(row) = first_difference(&got, whole, &picked) {
            let message = format!(
                "row {row} of {} has other numbers than the same pair among {}",
                part.name,
                batch.pairs.len()
            );
            return Err(scope::RULE.rejection(message).into());
        }
        tried.push((part, got));
    }
    Ok(tried)
}

/// Sizes below that of the largest batch.
fn sizes(seed: u64) -> impl Iterator<Item = usize> {
    let mut uniform = uniforms(seed ^ 400);
    // As many between 100 and 200 as between 1,000 and 2,000.
    let span = (LARGEST as f64 / (DENSE + 1) as f64).ln();
    let drawn = move || ((DENSE + 1) as f64 * (span * uniform()).exp()) as usize;
    let drawn = std::iter::repeat_with(drawn).take(N_DRAWN);
    (1..=DENSE).chain(USUAL).chain(drawn)
}

/// How many batches of other sizes a loss of scope `pair` answers.
#[cfg(test)]
pub(super) const N_OF_A_PAIR_LOSS: usize = DENSE + USUAL.len() + N_DRAWN + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_component_is_tried_at_other_sizes_below_the_largest() {
        let drawn = |seed| -> Vec<usize> { sizes(seed).skip(DENSE + USUAL.len()).collect() };
        assert_eq!(drawn(7).len(), N_DRAWN);
        assert!(drawn(7).iter().all(|size| (DENSE + 1..LARGEST).contains(size)));
        assert_ne!(drawn(7), drawn(8));
    }
}
