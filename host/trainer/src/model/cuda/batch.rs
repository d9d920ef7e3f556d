//! A batch on the device: its indices, checked and copied, and grouped where a gradient is gathered by them.

use kernels::attention::cuda::Segments;
use kernels::completion::cuda::Starts;
use kernels::cuda::{Device, Fault, Ids};
use kernels::embedding::cuda::{Groups, RowGroups};

use super::activations::Sizes;
use crate::batch::Packed;
use crate::model::config::DecoderConfig;

/// What a pass reads of a batch.
#[derive(Debug)]
pub(super) struct Batch {
    pub sizes: Sizes,
    pub tokens: Ids,
    pub positions: Ids,
    pub segments: Segments,
    /// None where there are no targets, as in a prompt.
    pub targets: Option<Targets>,
    /// None where nothing is kept for a backward pass.
    pub groups: Option<BatchGroups>,
}

/// What the head is asked.
#[derive(Debug)]
pub(super) struct Targets {
    pub predicting_rows: Ids,
    pub tokens: Ids,
    pub completions: Starts,
}

/// Rows by what they name, for the gradients of gathers.
#[derive(Debug)]
pub(super) struct BatchGroups {
    pub tokens: Groups,
    /// None where positions are not learned.
    pub positions: Option<Groups>,
    pub predicting_rows: RowGroups,
}

impl Batch {
    /// Copies a batch to the device. `backward`: a backward pass follows.
    pub(super) fn upload(
        device: &Device,
        packed: &Packed,
        config: &DecoderConfig,
        has_learned_positions: bool,
        backward: bool,
    ) -> Result<Self, Fault> {
        let Packed { tokens, positions, segments, predicting_rows, targets, .. } = packed;
        let (rows, vocabulary) = (packed.rows(), config.vocabulary);
        let asked = !targets.is_empty();
        let groups = || -> Result<BatchGroups, Fault> {
            let by_position = has_learned_positions
                .then(|| Groups::upload(device, positions, config.context, None));
            Ok(BatchGroups {
                tokens: Groups::upload(device, tokens, vocabulary, config.padding_token)?,
                positions: by_position.transpose()?,
                predicting_rows: RowGroups::upload(device, predicting_rows, rows)?,
            })
        };
        let of_targets = || -> Result<Targets, Fault> {
            let starts: Vec<u32> = packed.completion_starts().collect();
            Ok(Targets {
                predicting_rows: Ids::upload(device, predicting_rows, rows)?,
                tokens: Ids::upload(device, targets, vocabulary)?,
                completions: Starts::upload(device, &starts)?,
            })
        };
        Ok(Self {
            sizes: Sizes { rows, targets: targets.len(), completions: packed.completions.len() },
            tokens: Ids::upload(device, tokens, vocabulary)?,
            positions: Ids::upload(device, positions, longest(packed))?,
            segments: Segments::upload(device, segments)?,
            targets: asked.then(of_targets).transpose()?,
            groups: (asked && backward).then(groups).transpose()?,
        })
    }
}

/// Positions that a batch needs.
pub(super) fn longest(packed: &Packed) -> usize {
    packed.positions.iter().max().map_or(0, |last| *last as usize + 1)
}
