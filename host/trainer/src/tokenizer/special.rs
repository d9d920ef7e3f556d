//! Which strings are special to a model, found as `transformers` 5 finds them.
//!
//! Named tokens come from `tokenizer_config.json`; where it lists no `added_tokens_decoder`, the older
//! `special_tokens_map.json` goes before it; what neither names has the default of the tokenizer's class. All of
//! them are then made known to the tokenizer, which splits a text at them before anything else. Which of them
//! surround a text is up to `tokenizer.json` alone: `add_bos_token` and `add_eos_token` are ignored there too.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::AddedToken;

use super::TokenizerFiles;
use super::class::Class;
use crate::fault::Fault;

/// The names that chat templates know, in the order in which they are added.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Special tokens by name, as text.
#[derive(Debug, Clone, Default)]
pub(super) struct SpecialTokens {
    named: BTreeMap<&'static str, AddedToken>,
    extra: Vec<AddedToken>,
}

impl SpecialTokens {
    pub(super) fn eos(&self) -> Option<&str> {
        self.named.get("eos_token").map(|token| token.content.as_str())
    }

    /// Name and text of each. A tokenizer without padding pads with its end, as TRL sets it.
    pub(super) fn for_templates(&self) -> BTreeMap<&'static str, String> {
        let mut texts: BTreeMap<_, _> =
            self.named.iter().map(|(&name, token)| (name, token.content.clone())).collect();
        if let (false, Some(eos)) = (texts.contains_key("pad_token"), self.eos()) {
            texts.insert("pad_token", eos.to_owned());
        }
        texts
    }

    /// Makes the tokens known, those of `added_tokens_decoder` first. A string that the model's vocabulary holds
    /// keeps its id; a new one gets the next free id.
    pub(super) fn add_to(
        &self,
        tokenizer: &mut tokenizers::Tokenizer,
        added: Vec<AddedToken>,
    ) -> Result<(), Fault> {
        let present: Vec<AddedToken> = tokenizer.get_added_tokens_decoder().into_values().collect();
        let mut to_add: Vec<AddedToken> =
            added.into_iter().filter(|token| !present.contains(token)).collect();
        let named = NAMES.iter().filter_map(|name| self.named.get(name));
        for token in named.chain(&self.extra) {
            let known = |list: &[AddedToken]| list.iter().any(|one| one.content == token.content);
            if !known(&present) && !known(&to_add) {
                to_add.push(AddedToken { special: true, ..token.clone() });
            }
        }
        for token in to_add {
            tokenizer.add_tokens([token]).map_err(|error| Fault::Tokenizer(error.to_string()))?;
        }
        Ok(())
    }
}

/// The tokenizer's configuration: `tokenizer_config.json` with what goes before it and what it leaves out.
#[derive(Debug)]
pub(super) struct Configuration {
    fields: Map<String, Value>,
    class: Option<&'static Class>,
}

impl Configuration {
    pub(super) fn read(files: &TokenizerFiles) -> Result<Self, Fault> {
        let mut fields = object("tokenizer_config.json", files.tokenizer_config)?;
        if !fields.contains_key("added_tokens_decoder") {
            fields.extend(object("special_tokens_map.json", files.special_tokens_map)?);
            let older = object("added_tokens.json", files.added_tokens)?;
            let decoder = decoder_of(&older, &special_texts(&fields), files.tokenizer);
            if !decoder.is_empty() {
                fields.insert("added_tokens_decoder".into(), decoder.into());
            }
        }
        let class = Class::of(&fields, files);
        Ok(Self { fields, class })
    }

    pub(super) fn special_tokens(&self) -> SpecialTokens {
        let added = self.added_tokens();
        let mut named = BTreeMap::new();
        for name in NAMES {
            let token = match self.fields.get(name) {
                // Said to be none, which is not the same as not said.
                Some(Value::Null) => None,
                Some(value) => added_token(value),
                None => self.default_token(name),
            };
            if let Some(token) = token {
                let listed = added.iter().find(|listed| listed.content == token.content);
                named.insert(name, listed.cloned().unwrap_or(token));
            }
        }
        let extra = ["extra_special_tokens", "additional_special_tokens"]
            .into_iter()
            .filter_map(|field| self.fields.get(field)?.as_array())
            .find(|list| !list.is_empty());
        SpecialTokens {
            named,
            extra: extra.into_iter().flatten().filter_map(added_token).collect(),
        }
    }

    /// The tokens of `added_tokens_decoder`, by id.
    pub(super) fn added_tokens(&self) -> Vec<AddedToken> {
        let listed = self.fields.get("added_tokens_decoder").and_then(Value::as_object);
        let mut by_id: Vec<(u32, AddedToken)> = listed
            .into_iter()
            .flatten()
            .filter_map(|(id, token)| Some((id.parse().ok()?, added_token(token)?)))
            .collect();
        by_id.sort_by_key(|&(id, _)| id);
        by_id.into_iter().map(|(_, token)| token).collect()
    }

    /// The chat templates of `tokenizer_config.json`, by name. One alone is the default.
    pub(super) fn chat_templates(&self) -> BTreeMap<String, String> {
        match self.fields.get("chat_template") {
            Some(Value::String(template)) => BTreeMap::from([("default".into(), template.clone())]),
            Some(Value::Array(templates)) => templates.iter().filter_map(named_template).collect(),
            _ => BTreeMap::new(),
        }
    }

    /// `tokenizer.json` as the tokenizer's class would have it, if it has a class that differs.
    pub(super) fn rebuild(&self, tokenizer: &[u8]) -> Option<Vec<u8>> {
        let class = self.class?;
        let tokenizer = serde_json::from_slice(tokenizer).ok()?;
        serde_json::to_vec(&class.rebuild(&self.fields, tokenizer)).ok()
    }

    fn default_token(&self, name: &str) -> Option<AddedToken> {
        let mut defaults = self.class?.defaults.iter();
        defaults.find(|(of, _)| *of == name).map(|(_, text)| AddedToken::from(*text, true))
    }
}

/// The texts that the fields call special.
fn special_texts(fields: &Map<String, Value>) -> Vec<String> {
    let named = NAMES.iter().filter_map(|name| fields.get(*name));
    let extra = ["extra_special_tokens", "additional_special_tokens"];
    let extra = extra.iter().filter_map(|name| fields.get(*name)?.as_array()).flatten();
    named.chain(extra).filter_map(added_token).map(|token| token.content).collect()
}

/// The older `added_tokens.json`, from texts to ids, as an `added_tokens_decoder`. Ids that `tokenizer.json` itself
/// adds are its own.
fn decoder_of(
    older: &Map<String, Value>,
    special: &[String],
    tokenizer: &[u8],
) -> Map<String, Value> {
    #[derive(Deserialize, Default)]
    struct Added {
        id: u64,
    }
    #[derive(Deserialize, Default)]
    struct Own {
        #[serde(default)]
        added_tokens: Vec<Added>,
    }
    let own: Own = serde_json::from_slice(tokenizer).unwrap_or_default();
    let is_own = |id: u64| own.added_tokens.iter().any(|added| added.id == id);
    let entries = older.iter().filter_map(|(text, id)| Some((text, id.as_u64()?)));
    entries
        .filter(|(_, id)| !is_own(*id))
        .map(|(text, id)| {
            let is_special = special.contains(text);
            let token =
                json!({ "content": text, "special": is_special, "normalized": !is_special });
            (id.to_string(), token)
        })
        .collect()
}

fn object(name: &str, json: Option<&[u8]>) -> Result<Map<String, Value>, Fault> {
    let Some(json) = json else { return Ok(Map::new()) };
    serde_json::from_slice(json).map_err(|error| Fault::TokenizerConfig {
        file: name.to_owned(),
        message: error.to_string(),
    })
}

/// A token, written as text or as an object with `content`.
fn added_token(value: &Value) -> Option<AddedToken> {
    if let Value::String(content) = value {
        return Some(AddedToken::from(content.clone(), true));
    }
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(true);
    let token = AddedToken::from(value.get("content")?.as_str()?, special)
        .single_word(flag("single_word").unwrap_or(false))
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false))
        .normalized(flag("normalized").unwrap_or(!special));
    Some(token)
}

fn named_template(entry: &Value) -> Option<(String, String)> {
    let text = |field: &str| entry.get(field)?.as_str().map(str::to_owned);
    Some((text("name")?, text("template")?))
}
