//! Text to tokens and back, by the model's own `tokenizer.json`.
//!
//! Special tokens are neither added to text nor shown in it; who needs a beginning or an end token puts it
//! there. Not here: chat templates.

use crate::fault::Fault;

/// A model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    pub fn parse(json: &[u8]) -> Result<Self, Fault> {
        let inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| Fault::Tokenizer(error.to_string()))?;
        Ok(Self { inner })
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Fault> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| Fault::Tokenizer(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens, without the special ones.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Fault> {
        self.inner.decode(tokens, true).map_err(|error| Fault::Tokenizer(error.to_string()))
    }
}
