//! Text to tokens and back, by the model's own `tokenizer.json` and the files beside it.
//!
//! Special tokens are found as `transformers` 5 finds them, so that a text gets the ids it would get there:
//! `special` says which string begins and ends a sequence, `chat` renders a conversation into text.
//! Not here: which texts a preference pair is made of (`data`).

pub mod chat;
mod class;
mod python;
mod special;

use std::path::Path;

use crate::fault::Fault;
use crate::files;
use crate::model::{ModelDirectory, additional_templates};
use chat::ChatTemplate;
use special::{Configuration, SpecialTokens};

/// A model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: SpecialTokens,
    /// Why it cannot be used, if it cannot: only conversations need it.
    chat: Option<Result<ChatTemplate, String>>,
}

/// The files that say how a model's text becomes tokens.
#[derive(Debug, Clone, Default)]
pub struct TokenizerFiles<'a> {
    /// `tokenizer.json`
    pub tokenizer: &'a [u8],
    /// `tokenizer_config.json`
    pub tokenizer_config: Option<&'a [u8]>,
    /// `special_tokens_map.json`
    pub special_tokens_map: Option<&'a [u8]>,
    /// `added_tokens.json`, which older models have.
    pub added_tokens: Option<&'a [u8]>,
    /// `chat_template.jinja`
    pub chat_template: Option<&'a [u8]>,
    /// Further templates by name: `additional_chat_templates/NAME.jinja`
    pub additional_chat_templates: Vec<(&'a str, &'a [u8])>,
    /// `config.json`, which says of which family the tokenizer is where the others do not.
    pub config: Option<&'a [u8]>,
    /// What chat templates that ask for the date are told, in seconds since 1970, as UTC. `None`: the local time
    /// at which the tokenizer is opened.
    pub now_unix_seconds: Option<i64>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` alone: no special token is known by name, and there is no chat template.
    pub fn parse(json: &[u8]) -> Result<Self, Fault> {
        Ok(Self { inner: read(json)?, special: SpecialTokens::default(), chat: None })
    }

    /// Reads a model's tokenizer with all that goes with it. The time is that of [`TokenizerFiles`].
    pub fn of_model(
        directory: &ModelDirectory,
        now_unix_seconds: Option<i64>,
    ) -> Result<Self, Fault> {
        Self::assemble(&TokenizerFiles {
            tokenizer: directory.tokenizer()?,
            tokenizer_config: directory.companion("tokenizer_config.json"),
            special_tokens_map: directory.companion("special_tokens_map.json"),
            added_tokens: directory.companion("added_tokens.json"),
            chat_template: directory.companion("chat_template.jinja"),
            additional_chat_templates: directory.additional_chat_templates().collect(),
            config: Some(&directory.config),
            now_unix_seconds,
        })
    }

    /// Reads the tokenizer in a folder, which needs no weights.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
        let optional = |name: &str| {
            let path = folder.join(name);
            path.is_file().then(|| files::read(&path)).transpose()
        };
        let tokenizer_config = optional("tokenizer_config.json")?;
        let special_tokens_map = optional("special_tokens_map.json")?;
        let added_tokens = optional("added_tokens.json")?;
        let chat_template = optional("chat_template.jinja")?;
        let additional = ModelDirectory::read_additional_chat_templates(folder)?;
        let config = optional("config.json")?;
        Self::assemble(&TokenizerFiles {
            tokenizer: &files::read(&folder.join("tokenizer.json"))?,
            tokenizer_config: tokenizer_config.as_deref(),
            special_tokens_map: special_tokens_map.as_deref(),
            added_tokens: added_tokens.as_deref(),
            chat_template: chat_template.as_deref(),
            additional_chat_templates: additional_templates(&additional).collect(),
            config: config.as_deref(),
            now_unix_seconds: None,
        })
    }

    /// Puts a tokenizer together from its files.
    pub fn assemble(files: &TokenizerFiles) -> Result<Self, Fault> {
        let configuration = Configuration::read(files)?;
        let rebuilt = configuration.rebuild(files.tokenizer);
        let mut inner = read(rebuilt.as_deref().unwrap_or(files.tokenizer))?;
        let special = configuration.special_tokens();
        special.add_to(&mut inner, configuration.added_tokens())?;
        let chat = ChatTemplate::find(files, &configuration, &special);
        Ok(Self { inner, special, chat })
    }

    /// The tokens of a text, without special ones but for those that the text itself spells out.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Fault> {
        self.encode_fast(text, false)
    }

    /// The tokens of a text, with the special ones that the tokenizer puts around every text, such as a
    /// beginning-of-sequence token.
    pub fn encode_with_special_tokens(&self, text: &str) -> Result<Vec<u32>, Fault> {
        self.encode_fast(text, true)
    }

    fn encode_fast(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, Fault> {
        let encoding = self
            .inner
            .encode_fast(text, add_special_tokens)
            .map_err(|error| Fault::Tokenizer(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens, without the special ones.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Fault> {
        self.inner.decode(tokens, true).map_err(|error| Fault::Tokenizer(error.to_string()))
    }

    /// The end-of-sequence token, as text.
    pub fn eos(&self) -> Option<&str> {
        self.special.eos()
    }

    /// How conversations become text.
    pub fn chat(&self) -> Result<&ChatTemplate, Fault> {
        let message = match &self.chat {
            Some(Ok(template)) => return Ok(template),
            Some(Err(message)) => message.clone(),
            None => "the model has none".to_owned(),
        };
        Err(Fault::ChatTemplate(message))
    }
}

/// A `tokenizer.json` without the padding and truncation that it may ask for: nothing here pads, and what is
/// too long is counted.
fn read(json: &[u8]) -> Result<tokenizers::Tokenizer, Fault> {
    let unusable = |error: tokenizers::Error| Fault::Tokenizer(error.to_string());
    let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(unusable)?;
    inner.with_padding(None);
    inner.with_truncation(None).map_err(unusable)?;
    Ok(inner)
}
