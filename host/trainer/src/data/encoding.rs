//! Rows to tokens, as TRL 1.16's `DPOTrainer` makes them.
//!
//! - Text: the end-of-sequence token is appended to chosen and rejected, as text, unless they end with it. Then
//!   prompt, prompt + chosen and prompt + rejected are tokenised, each as a whole text with the special tokens
//!   that the tokenizer puts around one.
//! - Conversation: the same three are rendered by the chat template, the prompt with the header of the answer,
//!   and tokenised without further special tokens. Nothing is appended.
//! - The prompt is what all three token lists begin with; the completions are what follows. Where a token spans
//!   the border, the prompt loses its end to the completions.
//! - Token ids are taken as they are.
//!
//! A sequence longer than the limit is cut ([`Truncation`]). A completion token without a token before it is
//! predicted by nothing and is not scored: with an empty prompt, the first token of each completion becomes its
//! prompt, which gives the sums that TRL gets. Not here: reading rows (`row`).

use std::sync::Arc;

use minijinja::Value;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::row::{Content, Row};
use crate::fault::Fault;
use crate::pairs::PreferencePair;
use crate::tokenizer::Tokenizer;
use crate::tokenizer::chat::TemplateVariables;

/// Which end of a sequence is kept when it is too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// The start: completions lose their ends, and a row whose prompt alone fills the limit is dropped.
    #[default]
    KeepStart,
    /// The end: prompts lose their beginnings, each sequence for itself, so that the two completions of a row may
    /// see different parts of its prompt; after that completions lose theirs. TRL has deprecated it.
    KeepEnd,
}

/// How long a sequence may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Length {
    /// Most tokens of prompt and completion together, 2 or more. `None`: as long as they are; TRL's default is
    /// 1,024.
    pub max_tokens: Option<usize>,
    /// What is cut.
    pub truncation: Truncation,
}

/// Everything that turns a row into tokens.
#[derive(Debug, Clone)]
pub struct Encoding {
    tokenizer: Option<Arc<Tokenizer>>,
    n_vocabulary: usize,
    length: Length,
    context: usize,
}

/// A row's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPair {
    /// The tokens, within the length limit.
    pub pair: PreferencePair,
    /// Whether the limit cut a sequence.
    pub truncated: bool,
    /// Whether the prompt's last tokens differ when a completion follows, so that they count as completion.
    pub prompt_shortened: bool,
}

/// Prompt, chosen and rejected as tokens, not yet cut.
struct Tokens {
    prompt: Vec<u32>,
    chosen: Vec<u32>,
    rejected: Vec<u32>,
    prompt_shortened: bool,
}

const HINT_EOS: &str = "name one as eos_token in tokenizer_config.json, or give token ids";
const HINT_TOKENIZER: &str =
    "put tokenizer.json beside the model, or give prompt_ids, chosen_ids and rejected_ids";
const HINT_TEMPLATE: &str =
    "the model's chat template refuses this conversation; change or skip the row";
const HINT_NO_TEMPLATE: &str = "conversations need a model with a chat template (chat_template.jinja, or \
     chat_template in tokenizer_config.json); plain texts do not";
const HINT_VOCABULARY: &str = "use the tokenizer that the model was trained with";
const HINT_SCORED: &str = "give chosen and rejected at least one token after the prompt";
const HINT_CONTEXT: &str = "cut sequences with --max-length, or skip the row";
const HINT_TEXT: &str = "the model's tokenizer cannot read this text; change or skip the row";

impl Encoding {
    /// `tokenizer` may be missing if all rows hold token ids. Ids from `n_vocabulary` on are refused.
    ///
    /// # Errors
    ///
    /// A length limit below 2 tokens, which leaves nothing to predict.
    pub fn new(
        tokenizer: Option<Arc<Tokenizer>>,
        n_vocabulary: usize,
        length: Length,
    ) -> Result<Self, Fault> {
        if let Some(n_tokens) = length.max_tokens.filter(|&n_tokens| n_tokens < 2) {
            return Err(Fault::settings(
                format!("max length: expected 2 tokens or more, got {n_tokens}"),
                "a token is predicted from the one before it; TRL's default is 1024",
            ));
        }
        Ok(Self { tokenizer, n_vocabulary, length, context: usize::MAX })
    }

    /// The same for a model of this context: rows that are longer after the cut are bad.
    #[must_use]
    pub fn within(self, context: usize) -> Self {
        Self { context, ..self }
    }

    /// A row's tokens, or none if the length limit leaves no completion.
    pub(super) fn encode(&self, row: &Row) -> Result<Option<EncodedPair>, Problem> {
        let tokens = match &row.content {
            Content::Text(texts) => self.texts(texts)?,
            Content::Conversation(messages, variables) => self.conversation(messages, variables)?,
            Content::Tokens([prompt, chosen, rejected]) => Tokens {
                prompt: prompt.clone(),
                chosen: chosen.clone(),
                rejected: rejected.clone(),
                prompt_shortened: false,
            },
        };
        self.check_vocabulary(&tokens)?;
        self.cut(tokens)
    }

    fn tokenizer(&self) -> Result<&Tokenizer, Problem> {
        let missing = || Problem::new("row", "text without a tokenizer", HINT_TOKENIZER);
        self.tokenizer.as_deref().ok_or_else(missing)
    }

    fn texts(&self, [prompt, chosen, rejected]: &[String; 3]) -> Result<Tokens, Problem> {
        let tokenizer = self.tokenizer()?;
        let eos = tokenizer.eos().ok_or_else(|| {
            Problem::new("row", "the tokenizer has no end-of-sequence token", HINT_EOS)
        })?;
        let encode = |field: &'static str, completion: &str| {
            let eos = if field == "prompt" || completion.ends_with(eos) { "" } else { eos };
            tokenizer
                .encode_with_special_tokens(&[prompt, completion, eos].concat())
                .map_err(|fault| Problem::new(field, fault.without_hint(), HINT_TEXT))
        };
        Ok(Tokens::split(
            encode("prompt", "")?,
            encode("chosen", chosen)?,
            encode("rejected", rejected)?,
        ))
    }

    fn conversation(
        &self,
        [prompt, chosen, rejected]: &[Vec<Value>; 3],
        variables: &TemplateVariables,
    ) -> Result<Tokens, Problem> {
        let tokenizer = self.tokenizer()?;
        let template = tokenizer
            .chat()
            .map_err(|fault| Problem::new("row", fault.without_hint(), HINT_NO_TEMPLATE))?;
        let encode = |field: &'static str, completion: &[Value]| {
            let messages = [prompt, completion].concat();
            let text = template
                .render(&messages, field == "prompt", variables)
                .map_err(|message| Problem::new(field, message, HINT_TEMPLATE))?;
            tokenizer
                .encode(&text)
                .map_err(|fault| Problem::new(field, fault.without_hint(), HINT_TEXT))
        };
        Ok(Tokens::split(
            encode("prompt", &[])?,
            encode("chosen", chosen)?,
            encode("rejected", rejected)?,
        ))
    }

    fn check_vocabulary(&self, tokens: &Tokens) -> Result<(), Problem> {
        let lists = [
            ("prompt", &tokens.prompt),
            ("chosen", &tokens.chosen),
            ("rejected", &tokens.rejected),
        ];
        for (field, ids) in lists {
            if let Some(id) = ids.iter().find(|&&id| id as usize >= self.n_vocabulary) {
                let n_vocabulary = self.n_vocabulary;
                let message =
                    format!("token {id} is outside the model's vocabulary of {n_vocabulary}");
                return Err(Problem::new(field, message, HINT_VOCABULARY));
            }
        }
        Ok(())
    }

    fn cut(&self, tokens: Tokens) -> Result<Option<EncodedPair>, Problem> {
        let Tokens { prompt, chosen, rejected, prompt_shortened } = tokens;
        let n_max = self.length.max_tokens.unwrap_or(usize::MAX);
        let truncated = prompt.len().saturating_add(chosen.len().max(rejected.len())) > n_max;
        if self.length.truncation == Truncation::KeepStart && prompt.len() >= n_max {
            return Ok(None);
        }
        let side = |field: &'static str, completion: Vec<u32>| {
            let sequence =
                Sequence { n_prompt: prompt.len(), tokens: [&*prompt, &completion].concat() };
            let sequence = sequence.cut(n_max, self.length.truncation).with_a_prompt();
            if sequence.tokens.len() <= sequence.n_prompt {
                return Err(Problem::new(field, "no token of it would be scored", HINT_SCORED));
            }
            if sequence.tokens.len() > self.context {
                let (n_tokens, context) = (sequence.tokens.len(), self.context);
                let message = format!(
                    "{n_tokens} tokens with its prompt exceed the model's context of {context}"
                );
                return Err(Problem::new(field, message, HINT_CONTEXT));
            }
            Ok(sequence.split())
        };
        let (prompt_of_chosen, chosen) = side("chosen", chosen)?;
        let (prompt_of_rejected, rejected) = side("rejected", rejected)?;
        let rejected_prompt =
            (prompt_of_rejected != prompt_of_chosen).then_some(prompt_of_rejected);
        let pair = PreferencePair { prompt: prompt_of_chosen, chosen, rejected, rejected_prompt };
        Ok(Some(EncodedPair { pair, truncated, prompt_shortened }))
    }
}

impl Tokens {
    /// The prompt ends where it and the two longer lists first differ.
    fn split(mut prompt: Vec<u32>, mut chosen: Vec<u32>, mut rejected: Vec<u32>) -> Self {
        let common = |other: &[u32]| prompt.iter().zip(other).take_while(|(a, b)| a == b).count();
        let n_prompt = common(&chosen).min(common(&rejected));
        let prompt_shortened = n_prompt < prompt.len();
        prompt.truncate(n_prompt);
        chosen.drain(..n_prompt);
        rejected.drain(..n_prompt);
        Self { prompt, chosen, rejected, prompt_shortened }
    }
}

/// A prompt and one completion, end to end.
struct Sequence {
    n_prompt: usize,
    tokens: Vec<u32>,
}

impl Sequence {
    fn cut(mut self, n_max: usize, truncation: Truncation) -> Self {
        match truncation {
            Truncation::KeepStart => self.tokens.truncate(n_max),
            Truncation::KeepEnd => {
                let n_cut = self.tokens.len().saturating_sub(n_max);
                self.tokens.drain(..n_cut);
                self.n_prompt = self.n_prompt.saturating_sub(n_cut);
            }
        }
        self
    }

    fn with_a_prompt(mut self) -> Self {
        self.n_prompt = self.n_prompt.max(1);
        self
    }

    fn split(mut self) -> (Vec<u32>, Vec<u32>) {
        let completion = self.tokens.split_off(self.n_prompt);
        (self.tokens, completion)
    }
}
