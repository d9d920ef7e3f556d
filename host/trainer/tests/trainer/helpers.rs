//! What only tests on the CPU share.

use trainer::model::{Continuation, Model};
use trainer::pairs::PreferencePair;

/// Pairs as a file of token ids.
pub(crate) fn jsonl(pairs: &[PreferencePair]) -> String {
    let row = |pair: &PreferencePair| {
        let PreferencePair { prompt, chosen, rejected, .. } = pair;
        let row = serde_json::json!({
            "prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected,
        });
        format!("{row}\n")
    };
    pairs.iter().map(row).collect()
}

/// The likeliest token, again and again, with the prompt and what has been said kept in a cache.
pub(crate) fn greedy(model: &Model, prompt: &[u32], n_tokens: usize) -> Vec<u32> {
    let mut continuation = Continuation::default();
    continuation.begin(&model.decoder, &model.weights, &[prompt.to_vec()], 1, n_tokens);
    let mut tokens = Vec::new();
    while tokens.len() < n_tokens {
        tokens.push(argmax(continuation.logits()));
        continuation.advance(&model.decoder, &model.weights, &tokens[tokens.len() - 1..]);
    }
    tokens
}

pub(crate) fn argmax(logits: &[f32]) -> u32 {
    let order = |left: &(usize, &f32), right: &(usize, &f32)| left.1.total_cmp(right.1);
    logits.iter().enumerate().max_by(order).map(|(token, _)| token as u32).expect("a vocabulary")
}
