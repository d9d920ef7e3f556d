//! Preference pairs as tokens, and their log-probs under a model.
//!
//! The reference's log-probs belong to a pair and not to a step: they are computed once and travel with it.
//! Not here: where pairs come from (`task`) and how a policy learns from them (`step`).

use serde::{Deserialize, Serialize};

use crate::batch::Packed;
use crate::model::{Activations, Keep, Model};

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

/// Pairs whose log-probs are computed at a time.
const BLOCK_PAIRS: usize = 32;

/// Each pair's log-probs under the reference.
pub fn reference_logps(reference: &Model, pairs: Vec<PreferencePair>) -> Vec<ReferencedPair> {
    let (mut batch, mut activations) = (Packed::default(), Activations::new(Keep::Nothing));
    let mut logps = Vec::with_capacity(pairs.len());
    for block in pairs.chunks(BLOCK_PAIRS) {
        batch.clear();
        block.iter().for_each(|pair| pack(&mut batch, pair));
        reference.decoder.forward(&reference.weights, &batch, &mut activations);
        logps.extend(summed_logps(&batch, activations.token_logps()));
    }
    let with_reference = |(pair, reference)| ReferencedPair { pair, reference };
    pairs.into_iter().zip(logps).map(with_reference).collect()
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

/// The log-probs of a batch of pairs: each completion's tokens summed in order, in `f64`.
pub(crate) fn summed_logps<'a>(
    batch: &'a Packed,
    token_logps: &'a [f32],
) -> impl Iterator<Item = PairLogps> + 'a {
    let sum = |tokens: &std::ops::Range<usize>| {
        token_logps[tokens.clone()].iter().map(|&logp| f64::from(logp)).sum()
    };
    let pairs = batch.completions.chunks_exact(2);
    pairs.map(move |pair| PairLogps { chosen: sum(&pair[0]), rejected: sum(&pair[1]) })
}
