//! A model's folder, opened: its files, its weights and, if it has one, its tokenizer.
//!
//! It is what a preference file needs to become tokens, and what a trained model is saved with. Not here: what the
//! files mean (`model`, `tokenizer`).

use std::path::Path;
use std::sync::Arc;

use crate::data::{BadRows, Encoding, Length, PreferenceFile};
use crate::fault::Fault;
use crate::lora;
use crate::model::{Model, ModelDirectory};
use crate::tokenizer::Tokenizer;
pub(crate) use crate::tokenizer::chat::local_unix_seconds;

/// A model with everything that lies beside it.
#[derive(Debug)]
pub struct ModelFolder {
    /// The files.
    pub directory: ModelDirectory,
    /// The weights.
    pub model: Model,
    tokenizer: Option<Arc<Tokenizer>>,
}

impl ModelFolder {
    /// Opens a folder in Hugging Face's layout. Without `tokenizer.json` it takes token ids only.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
        Self::of(ModelDirectory::open(folder)?, None)
    }

    /// The same of files that are open, with the time that chat templates are told as in
    /// [`TokenizerFiles`](crate::tokenizer::TokenizerFiles).
    pub(crate) fn of(
        directory: ModelDirectory,
        now_unix_seconds: Option<i64>,
    ) -> Result<Self, Fault> {
        let model = Model::load(&directory)?;
        let tokenizer = match directory.companion("tokenizer.json").is_some() {
            true => Some(Arc::new(Tokenizer::of_model(&directory, now_unix_seconds)?)),
            false => None,
        };
        Ok(Self { directory, model, tokenizer })
    }

    /// Opens a folder, and adds low-rank adapters to the weights, if there are any: a folder in peft's layout.
    pub fn open_with_adapter(folder: &Path, adapter: Option<&Path>) -> Result<Self, Fault> {
        let mut opened = Self::open(folder)?;
        if let Some(adapter) = adapter {
            lora::apply(adapter, &mut opened.model)?;
        }
        Ok(opened)
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> Result<&Tokenizer, Fault> {
        let missing = || Fault::Tokenizer("the model has none".into());
        self.tokenizer.as_deref().ok_or_else(missing)
    }

    /// Opens preference data that this model is to read.
    pub fn data(
        &self,
        path: &Path,
        length: Length,
        bad_rows: BadRows,
    ) -> Result<PreferenceFile, Fault> {
        let config = self.model.decoder.config();
        let encoding = Encoding::new(self.tokenizer.clone(), config.vocabulary, length)?;
        PreferenceFile::open(path, encoding.within(config.context), bad_rows)
    }
}
