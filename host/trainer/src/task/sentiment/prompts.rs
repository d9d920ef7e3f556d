//! The embedded prompts: the beginnings of reviews, as tokens.
//!
//! Not here: which of them are used (`settings`).

use serde::Deserialize;

use super::assets;
use super::settings::Available;
use crate::fault::Fault;

/// Prompts of each kind, and how much there is of everything.
pub(super) struct Prompts {
    pub train: Vec<Vec<u32>>,
    pub heldout: Vec<Vec<u32>>,
    pub available: Available,
}

impl Prompts {
    pub(super) fn parse(context: usize) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct File {
            train: Vec<Vec<u32>>,
            heldout: Vec<Vec<u32>>,
        }
        let File { train, heldout } = serde_json::from_slice(assets::PROMPTS).map_err(|error| {
            Fault::settings(format!("prompts.json: {error}"), "build lossbox again")
        })?;
        let longest = train.iter().chain(&heldout).map(Vec::len).max().unwrap_or(0);
        let available = Available {
            training_prompts: train.len(),
            heldout_prompts: heldout.len(),
            completion_tokens: context.saturating_sub(longest),
        };
        Ok(Self { train, heldout, available })
    }
}
