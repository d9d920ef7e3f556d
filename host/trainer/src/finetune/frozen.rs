//! The reference's log-probs of the rows that a run will visit, before its first step.
//!
//! What is known from an earlier start of the run is not computed again. Not here: the file that they lie in (`references`).

use std::ops::ControlFlow;

use super::references::References;
use super::run::Progress;
use super::settings::Settings;
use crate::data::{Outcome, Position, PreferenceFile};
use crate::device::Device;
use crate::fault::Fault;
use crate::model::{Model, ModelDirectory};
use crate::score::{RowLogps, Scorer, check_finite, check_fits};

/// The rows that a run will train on.
pub(super) fn rows_used(
    settings: &Settings,
    data: &PreferenceFile,
    n_steps: usize,
) -> Result<Vec<bool>, Fault> {
    let n_pairs = n_steps.saturating_mul(settings.batch_pairs);
    if n_pairs >= data.n_rows() {
        return Ok(vec![true; data.n_rows()]);
    }
    let mut used = vec![false; data.n_rows()];
    for pair in data.walk(settings.order(), Position::default()).take(n_pairs) {
        used[pair?.0] = true;
    }
    Ok(used)
}

/// The reference, whose weights are read only if something is missing.
pub(super) struct Frozen<'a> {
    /// What computes.
    pub device: &'a Device,
    /// The model before training, which is the reference unless another is named.
    pub policy: &'a Model,
    /// Another.
    pub directory: Option<&'a ModelDirectory>,
}

impl Frozen<'_> {
    /// Computes what is missing of the wanted rows' sums.
    pub(super) fn complete(
        &mut self,
        references: &mut References,
        file: &PreferenceFile,
        wanted: Vec<bool>,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let known = references.known()?;
        let missing = wanted.iter().zip(known).enumerate();
        let missing: Vec<usize> =
            missing.filter(|(_, (wanted, known))| **wanted && !known).map(|(row, _)| row).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let loaded = self.directory.map(Model::load).transpose()?;
        let model = loaded.as_ref().unwrap_or(self.policy);
        let mut scorer = Scorer::new(self.device, model)?;
        let mut keep = |scored: Vec<RowLogps>| {
            scored.into_iter().try_for_each(|row| {
                let sums = row.sums();
                check_finite(model, "reference", || file.place(row.row), sums)?;
                references.set(row.row, sums)
            })
        };
        for (done, &row) in missing.iter().enumerate() {
            let Outcome::Pair(encoded) = file.row(row)? else { continue };
            check_fits(model.decoder.config(), "reference", || file.place(row), &encoded.pair)?;
            if scorer.add(row, &encoded.pair) {
                keep(scorer.scored()?)?;
                if watch(&Progress::References { done, of: missing.len() }).is_break() {
                    return Err(Fault::settings(
                        format!("ended after the reference log-probs of {done} rows"),
                        "they are kept: the same command with the same --run goes on",
                    ));
                }
            }
        }
        keep(scorer.scored()?)
    }
}
