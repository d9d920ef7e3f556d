//! What `transformers` 5 knows about a tokenizer beyond its files.
//!
//! A few classes rebuild the tokenizer around the vocabulary and merges of `tokenizer.json`, with a pipeline and
//! default special tokens of their own; what the file says of them is ignored. For the published models both say
//! the same, but for Llama's, whose older files put a space after every special token and whose class does not.
//! The class is the one that the configuration names or, failing that, the one of the model's family. Mistral's
//! family is of none: whatever class its files name, `tokenizer.json` is taken as it is.

use serde_json::{Map, Value, json};

use super::TokenizerFiles;

/// A class, as far as it differs from `tokenizer.json`.
#[derive(Debug)]
pub(super) struct Class {
    name: &'static str,
    /// The types of model, in `config.json`, whose tokenizer is of this class if nothing else says so.
    model_types: &'static [&'static str],
    /// Special tokens that need not be named.
    pub(super) defaults: &'static [(&'static str, &'static str)],
    /// Normalizer, pre-tokenizer and how the model treats what it does not know.
    pipeline: fn(&Map<String, Value>) -> Pipeline,
}

struct Pipeline {
    normalizer: Value,
    pre_tokenizer: Value,
    unk_token: Value,
    /// Also whether unknown tokens are fused.
    byte_fallback: bool,
}

const END_OF_TEXT: &str = "<|endoftext|>";

const CLASSES: [Class; 4] = [
    Class {
        name: "GPT2Tokenizer",
        model_types: &["gpt2"],
        defaults: &[
            ("bos_token", END_OF_TEXT),
            ("eos_token", END_OF_TEXT),
            ("unk_token", END_OF_TEXT),
        ],
        pipeline: |fields| Pipeline {
            normalizer: Value::Null,
            pre_tokenizer: byte_level(says(fields, "add_prefix_space").unwrap_or(false), true),
            unk_token: Value::Null,
            byte_fallback: false,
        },
    },
    Class {
        name: "LlamaTokenizer",
        model_types: &[],
        defaults: &[("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")],
        pipeline: |fields| {
            let scheme = match (says(fields, "add_prefix_space"), says(fields, "legacy")) {
                (Some(false), _) => "never",
                (_, Some(true)) => "always",
                _ => "first",
            };
            Pipeline {
                normalizer: Value::Null,
                pre_tokenizer: json!({
                    "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false,
                }),
                unk_token: Value::Null,
                byte_fallback: true,
            }
        },
    },
    Class {
        name: "Qwen2Tokenizer",
        model_types: &["qwen2", "qwen2_moe", "qwen3", "qwen3_moe"],
        defaults: &[
            ("eos_token", END_OF_TEXT),
            ("unk_token", END_OF_TEXT),
            ("pad_token", END_OF_TEXT),
        ],
        pipeline: |fields| {
            let words = concat!(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
                r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            );
            let prefix = says(fields, "add_prefix_space").unwrap_or(false);
            Pipeline {
                normalizer: json!({"type": "NFC"}),
                pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [
                    {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": false},
                    byte_level(prefix, false),
                ]}),
                unk_token: Value::Null,
                byte_fallback: false,
            }
        },
    },
    Class {
        name: "GemmaTokenizer",
        model_types: &["gemma", "gemma2", "gemma3", "gemma3_text"],
        defaults: &[
            ("bos_token", "<bos>"),
            ("eos_token", "<eos>"),
            ("unk_token", "<unk>"),
            ("pad_token", "<pad>"),
            ("mask_token", "<mask>"),
        ],
        pipeline: |fields| Pipeline {
            normalizer: json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
            pre_tokenizer: json!({
                "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false,
            }),
            unk_token: text(fields.get("unk_token")).unwrap_or_else(|| "<unk>".into()).into(),
            byte_fallback: true,
        },
    },
];

/// The types of model whose tokenizer is never rebuilt: in transformers' table they are of the general class, and a
/// class that differs from it is not looked at.
const AS_WRITTEN: [&str; 1] = ["mistral"];

impl Class {
    /// The class that `transformers` would make for these files.
    pub(super) fn of(fields: &Map<String, Value>, files: &TokenizerFiles) -> Option<&'static Self> {
        let config: Option<Value> = files.config.and_then(|json| serde_json::from_slice(json).ok());
        let config_text = |field: &str| text(config.as_ref()?.get(field));
        let model_type = config_text("model_type").unwrap_or_default();
        if AS_WRITTEN.contains(&&*model_type) {
            return None;
        }
        let of_family = || CLASSES.iter().find(|class| class.model_types.contains(&&*model_type));
        let named = text(fields.get("tokenizer_class")).or_else(|| config_text("tokenizer_class"));
        // Of Qwen 2's published models many name a wrong class.
        let Some(named) = named.filter(|_| model_type != "qwen2") else {
            return of_family();
        };
        let named = named.strip_suffix("Fast").unwrap_or(&named);
        let class = CLASSES.iter().find(|class| class.name == named)?;
        // Llama 3 names Llama's class and is not of it.
        let is_byte_level = || contains(files.tokenizer, b"\"ByteLevel\"");
        (class.name != "LlamaTokenizer" || !is_byte_level()).then_some(class)
    }

    /// `tokenizer.json` with this class's pipeline. Only byte-pair encodings are rebuilt.
    pub(super) fn rebuild(&self, fields: &Map<String, Value>, mut tokenizer: Value) -> Value {
        if tokenizer["model"]["type"] != "BPE" {
            return tokenizer;
        }
        let pipeline = (self.pipeline)(fields);
        tokenizer["normalizer"] = pipeline.normalizer;
        tokenizer["pre_tokenizer"] = pipeline.pre_tokenizer;
        let model = &mut tokenizer["model"];
        model["unk_token"] = pipeline.unk_token;
        model["byte_fallback"] = pipeline.byte_fallback.into();
        model["fuse_unk"] = pipeline.byte_fallback.into();
        model["ignore_merges"] = false.into();
        model["dropout"] = Value::Null;
        tokenizer
    }
}

fn byte_level(add_prefix_space: bool, use_regex: bool) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": true,
        "use_regex": use_regex,
    })
}

fn says(fields: &Map<String, Value>, field: &str) -> Option<bool> {
    fields.get(field).and_then(Value::as_bool)
}

/// A text, written as one or as a token with `content`.
fn text(value: Option<&Value>) -> Option<String> {
    let value = value?;
    Some(value.as_str().or_else(|| value.get("content")?.as_str())?.to_owned())
}

fn contains(bytes: &[u8], sought: &[u8]) -> bool {
    bytes.windows(sought.len()).any(|window| window == sought)
}
