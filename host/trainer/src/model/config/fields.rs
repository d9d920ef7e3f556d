//! A JSON object that is read field by field, until none is left that could matter.
//!
//! A field that is read is removed, so that what remains at the end was not understood and can be refused by its
//! name. A field that is null counts as missing. Not here: which fields there are (`config`).

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::fault::Fault;

/// More than any model has of anything but parameters; below it no number of parameters overflows.
pub(super) const COUNT_MAX: u64 = 1 << 24;
const LAYERS_MAX: u64 = 1 << 12;

/// The fields of a JSON object that have not been read yet.
pub(super) struct Fields {
    map: Map<String, Value>,
    prefix: String,
}

impl Fields {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Fault> {
        let map = serde_json::from_slice(json).map_err(|error| {
            Fault::config(
                "the file",
                error.to_string(),
                "use the config.json that came with the model",
            )
        })?;
        Ok(Self { map, prefix: String::new() })
    }

    /// The value, if the field is there and not null.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(wrong_type(&self.full_name(name), expected, &value)),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        self.typed(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, Fault> {
        self.typed(name, "a number", Value::as_f64)
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A number that must be there and be positive.
    pub(super) fn positive(&mut self, name: &str) -> Result<f64, Fault> {
        self.optional_positive(name)?.ok_or_else(|| self.missing(name))
    }

    /// A number that is positive where it is there.
    pub(super) fn optional_positive(&mut self, name: &str) -> Result<Option<f64>, Fault> {
        let positive =
            |value: &Value| value.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        self.typed(name, "a positive number", positive)
    }

    /// What the field says when it is there: null is [`None`]. `default` is what a missing field means.
    pub(super) fn nullable_number(
        &mut self,
        name: &str,
        default: Option<f64>,
    ) -> Result<Option<f64>, Fault> {
        match self.map.contains_key(name) {
            false => Ok(default),
            true => self.number(name),
        }
    }

    /// A count that may be null, as [`Self::nullable_number`].
    pub(super) fn nullable_count(
        &mut self,
        name: &str,
        default: Option<usize>,
    ) -> Result<Option<usize>, Fault> {
        match self.map.contains_key(name) {
            false => Ok(default),
            true => self.optional_count(name),
        }
    }

    /// A cap c of c·tanh(x/c), positive where there is one.
    pub(super) fn softcap(
        &mut self,
        name: &str,
        default: Option<f64>,
    ) -> Result<Option<f32>, Fault> {
        match self.nullable_number(name, default)? {
            Some(cap) if !(cap.is_finite() && cap > 0.0) => {
                Err(wrong_type(&self.full_name(name), "a positive number", &cap.into()))
            }
            cap => Ok(cap.map(|cap| cap as f32)),
        }
    }

    /// `sliding_window`; null is none.
    pub(super) fn window(&mut self, default: Option<usize>) -> Result<Option<usize>, Fault> {
        match self.map.contains_key("sliding_window") {
            false => Ok(default),
            true => self.whole("sliding_window", 1..=1 << 32),
        }
    }

    /// The fields of an object, if it is there and not null.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Fields>, Fault> {
        let prefix = format!("{}.", self.full_name(name));
        let map = self.typed(name, "an object", |value| value.as_object().cloned())?;
        Ok(map.map(|map| Self { map, prefix }))
    }

    /// The field's name with the names of the objects that it lies in.
    pub(super) fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn missing(&self, name: &str) -> Fault {
        Fault::config(
            &self.full_name(name),
            "is missing",
            "use the config.json that came with the model",
        )
    }

    /// A whole number in a range, if it is there.
    pub(super) fn whole(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<usize>, Fault> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let whole = |value: &Value| value.as_u64().filter(|n| range.contains(n));
        Ok(self.typed(name, &expected, whole)?.map(|n| n as usize))
    }

    pub(super) fn optional_count(&mut self, name: &str) -> Result<Option<usize>, Fault> {
        self.whole(name, 1..=COUNT_MAX)
    }

    /// The number of blocks.
    pub(super) fn layers(&mut self, name: &str) -> Result<usize, Fault> {
        self.whole(name, 1..=LAYERS_MAX)?.ok_or_else(|| self.missing(name))
    }

    /// Two names of one thing: both may be there, but not with two values.
    pub(super) fn refuse_two_values(&self, name: &str, other: &str) -> Result<(), Fault> {
        let of = |name: &str| self.map.get(name).filter(|value| !value.is_null());
        match (of(name), of(other)) {
            (Some(value), Some(second)) if value != second => Err(contradiction(
                &self.full_name(name),
                format!("{value} beside {other} = {second}"),
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn count(&mut self, name: &str) -> Result<usize, Fault> {
        self.optional_count(name)?.ok_or_else(|| self.missing(name))
    }

    /// One token or a list of tokens, without those that no vocabulary of this size has: files say -1 for none. Empty
    /// if the field is missing.
    pub(super) fn tokens(&mut self, name: &str, vocabulary: usize) -> Result<Vec<u32>, Fault> {
        let tokens = |value: &Value| tokens_within(value, vocabulary);
        Ok(self.typed(name, "a token or a list of tokens", tokens)?.unwrap_or_default())
    }

    /// Refuses any value but `only`, which is what a missing field means.
    pub(super) fn expect(&mut self, name: &str, only: &Value) -> Result<(), Fault> {
        match self.take(name) {
            Some(value) if !same(&value, only) => Err(Fault::config(
                &self.full_name(name),
                format!("expected {only}, got {value}"),
                "this variation of the family is not supported; choose a model without it",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn refuse_the_rest(&self) -> Result<(), Fault> {
        let unknown = |(name, value): &(&String, &Value)| {
            !value.is_null() && !NEUTRAL.contains(&name.as_str())
        };
        match self.map.iter().find(unknown) {
            Some((name, _)) => Err(Fault::config(
                &self.full_name(name),
                "is not known to lossbox",
                "remove the field if it does not change what the model computes",
            )),
            None => Ok(()),
        }
    }
}

/// The tokens of a vocabulary among a number or a list of them; nothing where something is no whole number.
fn tokens_within(value: &Value, vocabulary: usize) -> Option<Vec<u32>> {
    let items = match value {
        Value::Array(items) => &**items,
        single => std::slice::from_ref(single),
    };
    let known =
        |token: i64| u32::try_from(token).ok().filter(|token| (*token as usize) < vocabulary);
    let tokens: Option<Vec<i64>> = items.iter().map(Value::as_i64).collect();
    Some(tokens?.into_iter().filter_map(known).collect())
}

/// Equality in which 0 and 0.0 are the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

/// Fields that published files carry at the one value that means nothing for a decoder of these families.
pub(super) fn expect_a_plain_decoder(fields: &mut Fields) -> Result<(), Fault> {
    for name in [
        "add_cross_attention",
        "is_decoder",
        "is_encoder_decoder",
        "rope_interleaved",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "use_bfloat16",
        "use_mrope",
    ] {
        fields.expect(name, &false.into())?;
    }
    fields.refuse_two_values("torch_dtype", "dtype")?;
    fields.expect("is_llama_config", &true.into())?;
    fields.expect("partial_rotary_factor", &1.0.into())?;
    fields.expect("pruned_heads", &Value::Object(Map::new()))
}

pub(super) fn contradiction(field: &str, message: String) -> Fault {
    Fault::config(field, message, "use the config.json that came with the model")
}

pub(super) fn wrong_type(field: &str, expected: &str, got: &Value) -> Fault {
    contradiction(field, format!("expected {expected}, got {got}"))
}

/// Fields that do not change what the decoder computes. Dropout is among them: preference training switches it off,
/// as TRL does by default, because policy and reference must be compared on the same numbers.
const NEUTRAL: [&str; 80] = [
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_commit_hash",
    "_experts_implementation_internal",
    "_flash_attn_2_enabled",
    "_name_or_path",
    "_num_labels",
    "_sliding_window_pattern",
    "attention_dropout",
    "attn_implementation",
    "attn_pdrop",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "dtype",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "initializer_range",
    "label2id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "max_sequence_length",
    "min_length",
    "model_max_length",
    "n_special",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pad_token_id",
    "predict_special_tokens",
    "prefix",
    "problem_type",
    "remove_invalid_values",
    "reorder_and_upcast_attn",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
];
