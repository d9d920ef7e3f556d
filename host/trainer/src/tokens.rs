//! What holds of the distributions that completion tokens were predicted with, under TRL's names.
//!
//! All of it is of every completion token alike, whatever the length of its completion, as trl 1.16's DPOTrainer has it
//! for a batch. Not here: how it is computed of logits (`kernels::logprob`).

use serde::Serialize;

use crate::batch::Packed;
use crate::model::TokenStatistics;

/// Means over completion tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TokenMetrics {
    /// Mean entropy of the distributions of all completion tokens, in nats.
    pub entropy: f64,
    /// Part of the chosen completions' tokens that were the likeliest one.
    pub mean_token_accuracy: f64,
    /// Mean logit, over the vocabulary and the chosen completions' tokens.
    #[serde(rename = "logits/chosen")]
    pub logits_chosen: f64,
    /// Mean logit, over the vocabulary and the rejected completions' tokens.
    #[serde(rename = "logits/rejected")]
    pub logits_rejected: f64,
}

/// Sums over the tokens seen so far.
#[derive(Debug, Default)]
pub(crate) struct TokenTally {
    entropy: f64,
    n_likeliest: usize,
    chosen: Side,
    rejected: Side,
}

/// Of one kind of completion.
#[derive(Debug, Default)]
struct Side {
    logits: f64,
    n_tokens: usize,
}

impl TokenTally {
    /// Adds a batch, whose completions are chosen and rejected in turn.
    pub(crate) fn add(&mut self, batch: &Packed, statistics: &[TokenStatistics]) {
        for (number, tokens) in batch.completions.iter().enumerate() {
            let tokens = &statistics[tokens.clone()];
            let is_chosen = number % 2 == 0;
            let side = if is_chosen { &mut self.chosen } else { &mut self.rejected };
            side.n_tokens += tokens.len();
            for token in tokens {
                side.logits += f64::from(token.mean_logit);
                self.entropy += f64::from(token.entropy);
                self.n_likeliest += usize::from(is_chosen && token.is_likeliest);
            }
        }
    }

    /// Means over all tokens, of which there must be one of each kind.
    pub(crate) fn metrics(&self) -> TokenMetrics {
        let Self { chosen, rejected, .. } = self;
        TokenMetrics {
            entropy: self.entropy / (chosen.n_tokens + rejected.n_tokens) as f64,
            mean_token_accuracy: self.n_likeliest as f64 / chosen.n_tokens as f64,
            logits_chosen: chosen.logits / chosen.n_tokens as f64,
            logits_rejected: rejected.logits / rejected.n_tokens as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_count_alike_and_only_chosen_ones_are_right_or_wrong() {
        let mut batch = Packed::default();
        batch.push(&[7], &[&[1, 2, 3], &[4]]);
        batch.push(&[7], &[&[5], &[6]]);
        let token = |entropy, mean_logit, is_likeliest| TokenStatistics {
            entropy,
            mean_logit,
            is_likeliest,
        };
        let chosen = [token(1.0, 3.0, true), token(2.0, 3.0, false), token(3.0, 0.0, false)];
        let rest = [token(4.0, -1.0, true), token(0.0, 2.0, true), token(2.0, -3.0, false)];
        let mut tally = TokenTally::default();
        tally.add(&batch, &[chosen, rest].concat());
        let expected = TokenMetrics {
            entropy: 2.0,
            mean_token_accuracy: 0.5,
            logits_chosen: 2.0,
            logits_rejected: -2.0,
        };
        assert_eq!(tally.metrics(), expected);
    }
}
