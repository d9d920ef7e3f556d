//! A batch on the device: its indices, checked and copied, and grouped where a gradient is gathered by them.

use kernels::attention::cuda::Segments;
use kernels::completion::cuda::Starts;
use kernels::cuda::{Fault, Ids, Packer};
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
    /// The lengths of all arrays but those of `groups` that follow the tokens: launches that read none of these follow from it.
    pub form: Vec<usize>,
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
    /// Packs a batch for the device. `backward`: a backward pass follows.
    pub(super) fn pack(
        packer: &mut Packer,
        packed: &Packed,
        config: &DecoderConfig,
        has_learned_positions: bool,
        backward: bool,
    ) -> Result<Self, Fault> {
        let Packed { segments, predicting_rows, .. } = packed;
        let (rows, vocabulary) = (packed.rows(), config.vocabulary);
        let asked = !packed.targets.is_empty();
        let tokens = Ids::pack(packer, &packed.tokens, vocabulary)?;
        let positions = Ids::pack(packer, &packed.positions, longest(packed))?;
        let segments = Segments::pack(packer, segments)?;
        let mut targets = None;
        if asked {
            let starts: Vec<u32> = packed.completion_starts().collect();
            targets = Some(Targets {
                predicting_rows: Ids::pack(packer, predicting_rows, rows)?,
                tokens: Ids::pack(packer, &packed.targets, vocabulary)?,
                completions: Starts::pack(packer, &starts)?,
            });
        }
        let (mut groups, mut form) = (None, packer.lens().to_vec());
        if asked && backward {
            let predicting_rows = RowGroups::pack(packer, predicting_rows, rows)?;
            form = packer.lens().to_vec();
            let (ids, except) = (&packed.tokens, config.padding_token);
            let tokens = Groups::pack(packer, ids, vocabulary, except)?;
            let positions = match has_learned_positions {
                true => Some(Groups::pack(packer, &packed.positions, config.context, None)?),
                false => None,
            };
            groups = Some(BatchGroups { tokens, positions, predicting_rows });
        }
        let n_completions = packed.completions.len();
        let sizes = Sizes { rows, targets: packed.targets.len(), completions: n_completions };
        Ok(Self { sizes, tokens, positions, segments, targets, groups, form })
    }
}

/// Positions that a batch needs.
pub(super) fn longest(packed: &Packed) -> usize {
    packed.positions.iter().max().map_or(0, |last| *last as usize + 1)
}
