//! Preference pairs as tokens, and their log-probs under a model.
//!
//! The reference's log-probs belong to a pair and not to a step: they are computed once (`score`) and travel with it.
//! Not here: where pairs come from (`data`, `task`) and how a policy learns from them (`step`).

use serde::{Deserialize, Serialize};

use crate::batch::Packed;

/// A prompt with a better and a worse completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreferencePair {
    /// At least one token.
    pub prompt: Vec<u32>,
    /// At least one token.
    pub chosen: Vec<u32>,
    /// At least one token.
    pub rejected: Vec<u32>,
    /// What the rejected completion follows, at least one token, where that is not `prompt`: where each
    /// sequence was cut for itself, or where there is no prompt and the first tokens of the two stand in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_prompt: Option<Vec<u32>>,
}

impl PreferencePair {
    /// A pair whose completions follow the same prompt.
    pub fn new(prompt: Vec<u32>, chosen: Vec<u32>, rejected: Vec<u32>) -> Self {
        Self { prompt, chosen, rejected, rejected_prompt: None }
    }

    /// Tokens of the two sequences, prompt and completion each.
    pub fn sequence_tokens(&self) -> [usize; 2] {
        let rejected_prompt = self.rejected_prompt.as_ref().unwrap_or(&self.prompt);
        [self.prompt.len() + self.chosen.len(), rejected_prompt.len() + self.rejected.len()]
    }

    /// Tokens of the longer sequence.
    pub fn longest_tokens(&self) -> usize {
        let [chosen, rejected] = self.sequence_tokens();
        chosen.max(rejected)
    }

    /// The highest token of all.
    pub(crate) fn highest_token(&self) -> u32 {
        let Self { prompt, chosen, rejected, rejected_prompt } = self;
        let lists = [Some(prompt), Some(chosen), Some(rejected), rejected_prompt.as_ref()];
        lists.into_iter().flatten().flatten().copied().max().unwrap_or(0)
    }
}

/// Summed log-probs of a pair's completions, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairLogps {
    /// Of the chosen completion.
    pub chosen: f64,
    /// Of the rejected completion.
    pub rejected: f64,
}

/// A pair that can be trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferencedPair {
    /// The tokens.
    pub pair: PreferencePair,
    /// The reference's log-probs.
    pub reference: PairLogps,
}

/// Appends a pair to a batch.
pub(crate) fn pack(batch: &mut Packed, pair: &PreferencePair) {
    match &pair.rejected_prompt {
        None => batch.push(&pair.prompt, &[&pair.chosen, &pair.rejected]),
        Some(rejected_prompt) => {
            batch.push(&pair.prompt, &[&pair.chosen]);
            batch.push(rejected_prompt, &[&pair.rejected]);
        }
    }
}

/// A completion's log-prob: its tokens' in order, in `f64`.
pub(crate) fn sum(token_logps: &[f32]) -> f64 {
    token_logps.iter().map(|&logp| f64::from(logp)).sum()
}
