//! The task's files, part of the binary: base model, prompts, scorer. Where they come from is in
//! `assets/sentiment/README.md`.
//!
//! Not here: what they mean (`scorer`, `pairs`, `model`).

use sha2::{Digest, Sha256};

use crate::model::{Content, ModelDirectory};

const CONFIG: &[u8] = include_bytes!("../../../assets/sentiment/base/config.json");
const WEIGHTS: &[u8] = include_bytes!("../../../assets/sentiment/base/model.safetensors");
const TOKENIZER: &[u8] = include_bytes!("../../../assets/sentiment/base/tokenizer.json");
const TOKENIZER_CONFIG: &[u8] =
    include_bytes!("../../../assets/sentiment/base/tokenizer_config.json");
const GENERATION_CONFIG: &[u8] =
    include_bytes!("../../../assets/sentiment/base/generation_config.json");

/// Prompts for training and held out, as lists of tokens.
pub(super) const PROMPTS: &[u8] = include_bytes!("../../../assets/sentiment/prompts.json");

/// Weights of the sentiment scorer.
pub(super) const SCORER: &[u8] = include_bytes!("../../../assets/sentiment/scorer.safetensors");

/// The base model's files.
pub(super) fn base_model() -> ModelDirectory {
    let companions = [
        ("tokenizer.json", TOKENIZER),
        ("tokenizer_config.json", TOKENIZER_CONFIG),
        ("generation_config.json", GENERATION_CONFIG),
    ];
    ModelDirectory {
        config: Content::Embedded(CONFIG),
        weights: vec![Content::Embedded(WEIGHTS)],
        companions: companions
            .map(|(name, bytes)| (name.to_owned(), Content::Embedded(bytes)))
            .into(),
    }
}

/// Adds everything that the task's numbers depend on to a digest.
pub(super) fn fingerprint(digest: &mut Sha256) {
    for bytes in [CONFIG, WEIGHTS, TOKENIZER, PROMPTS, SCORER] {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
}
