//! What a `config.json` says about a decoder, turned into what it means.
//!
//! One description covers all decoders that this crate can compute: which norm, which positions, which feed-forward
//! layer, what is biased, tied or capped. A family (`families`) is a way to fill it in. transformers 5 writes
//! `rope_parameters` and `dtype`, older versions `rope_theta` and `torch_dtype`; both are read. A field that could
//! change the arithmetic and is not understood is refused by its name, as is a field that contradicts another: a
//! model that is computed almost right is worse than none.
//!
//! Not here: the weights (`checkpoint`), the arithmetic (`decoder`).

mod families;
mod fields;
mod rope;

use kernels::activation::Activation;

pub use families::Family;
pub use rope::{Rope, RopeScaling};

use crate::fault::Fault;
use fields::{COUNT_MAX, Fields, contradiction};

/// A decoder-only transformer.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Whose names the weights have.
    pub family: Family,
    /// Width of the residual stream, D.
    pub width: usize,
    /// Query heads, H.
    pub n_heads: usize,
    /// Key and value heads; divides the query heads.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Width of the feed-forward layer.
    pub mlp_width: usize,
    /// Number of tokens, V.
    pub vocabulary: usize,
    /// Most tokens of one sequence.
    pub context: usize,
    /// One entry per block.
    pub layers: Vec<LayerConfig>,
    /// What normalises the stream.
    pub norm: NormKind,
    /// Added to the variance or the mean square.
    pub norm_epsilon: f32,
    /// Whether queries and keys are normalised head by head before they are rotated.
    pub query_key_norm: bool,
    /// Whether a block also normalises what attention and feed-forward layer add to the stream.
    pub output_norms: bool,
    /// Whether positions are learned vectors, added to the embedding.
    pub learned_positions: bool,
    /// Whether the feed-forward layer is gated: act(gate)·up instead of act(up).
    pub gated: bool,
    /// Its activation.
    pub activation: Activation,
    /// What is biased.
    pub biases: Biases,
    /// Factor of the attention scores.
    pub attention_scale: f32,
    /// Attention scores s become c·tanh(s/c).
    pub attention_softcap: Option<f32>,
    /// Logits l become c·tanh(l/c).
    pub logits_softcap: Option<f32>,
    /// Factor of the embedding.
    pub embedding_scale: Option<f32>,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// Tokens that end a completion, all of the vocabulary.
    pub end_tokens: Vec<u32>,
    /// A token whose row of the embedding learns nothing from where it is read; as a row of a tied head it does.
    pub padding_token: Option<u32>,
}

/// In what blocks differ from each other.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerConfig {
    /// How the block turns queries and keys; not at all where positions are learned.
    pub rope: Option<Rope>,
    /// How many tokens a token attends to, itself included; all before it without.
    pub window: Option<usize>,
}

/// What normalises the stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NormKind {
    /// LayerNorm, with a bias.
    Layer,
    /// RMSNorm, whose weight acts as `offset` + w.
    Rms {
        /// 0 for most, 1 for Gemma.
        offset: f32,
    },
}

/// Which linear layers have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// Attention's output.
    pub o: bool,
    /// The feed-forward layer.
    pub mlp: bool,
}

impl DecoderConfig {
    /// Reads a Hugging Face `config.json`.
    pub fn parse(json: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields::parse(json)?;
        let family = Family::read(&mut fields)?;
        fields::expect_a_plain_decoder(&mut fields)?;
        let config = family.config(&mut fields)?;
        fields.refuse_the_rest()?;
        config.check()?;
        Ok(config)
    }

    /// Takes the end tokens of a `generation_config.json`, which transformers asks in place of `config.json`: a file that
    /// names none ends no completion. What cannot be read is as if it were not there.
    pub(super) fn end_as_generation_says(&mut self, json: &[u8]) {
        let said = Fields::parse(json)
            .and_then(|mut fields| fields.tokens("eos_token_id", self.vocabulary));
        if let Ok(end_tokens) = said {
            self.end_tokens = end_tokens;
        }
    }

    /// Number of blocks, L.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// Width of all query heads together.
    pub fn q_width(&self) -> usize {
        self.n_heads * self.head_width
    }

    /// Width of all key heads together, and of all value heads.
    pub fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head_width
    }

    fn check(&self) -> Result<(), Fault> {
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return Err(contradiction(
                "num_key_value_heads",
                format!(
                    "{} does not divide num_attention_heads = {}",
                    self.n_kv_heads, self.n_heads
                ),
            ));
        }
        if self.q_width() as u64 > COUNT_MAX {
            let message = format!(
                "{} heads of {} come to more than {COUNT_MAX}",
                self.n_heads, self.head_width
            );
            return Err(contradiction("head_dim", message));
        }
        if !self.learned_positions && !self.head_width.is_multiple_of(2) {
            return Err(contradiction(
                "head_dim",
                format!("rotary positions need an even width, got {}", self.head_width),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn smallest() -> Value {
        json!({
            "model_type": "llama", "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4,
            "num_attention_heads": 4, "vocab_size": 2048,
        })
    }

    fn with(changes: Value) -> Value {
        let mut config = smallest();
        let fields = config.as_object_mut().expect("an object");
        fields.extend(changes.as_object().expect("an object").clone());
        config
    }

    fn parse(config: &Value) -> Result<DecoderConfig, Fault> {
        DecoderConfig::parse(config.to_string().as_bytes())
    }

    #[track_caller]
    fn check_refused(changes: Value, field: &str) {
        match parse(&with(changes)) {
            Err(Fault::Config { field: refused, .. }) => assert_eq!(refused, field),
            other => panic!("expected {field} to be refused, got {other:?}"),
        }
    }

    #[test]
    fn missing_fields_mean_what_transformers_takes_them_to_mean() {
        let config = parse(&smallest()).expect("the smallest config");
        assert_eq!((config.n_kv_heads, config.head_width, config.context), (4, 32, 2048));
        assert_eq!((config.norm_epsilon, config.tied_head), (1e-6, false));
        assert_eq!(
            config.layers[0].rope,
            Some(Rope { theta: 10_000.0, scaling: RopeScaling::None })
        );
    }

    #[test]
    fn the_older_and_the_newer_form_mean_the_same() {
        let older =
            with(json!({"rope_theta": 5e5, "torch_dtype": "bfloat16", "rope_scaling": null}));
        let newer = with(
            json!({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}, "dtype": "bfloat16"}),
        );
        assert_eq!(parse(&older).expect("the older form"), parse(&newer).expect("the newer form"));
        let rope = parse(&older).expect("the older form").layers.swap_remove(0).rope;
        assert_eq!(rope.map(|rope| rope.theta), Some(5e5));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        check_refused(json!({"model_type": "mamba"}), "model_type");
        check_refused(
            json!({"architectures": ["LlamaForSequenceClassification"]}),
            "architectures",
        );
        check_refused(json!({"hidden_act": "mish"}), "hidden_act");
        check_refused(json!({"pretraining_tp": 2}), "pretraining_tp");
        check_refused(
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}),
            "rope_scaling.low_freq_factor",
        );
        check_refused(json!({"quantization_config": {"bits": 4}}), "quantization_config");
        check_refused(
            json!({"rope_scaling": {"rope_type": "longrope", "factor": 8.0}}),
            "rope_scaling.rope_type",
        );
        check_refused(
            json!({"rope_parameters": {"rope_theta": 1e4, "factor": 8.0}}),
            "rope_parameters.factor",
        );
        check_refused(json!({"hidden_size": "wide"}), "hidden_size");
        check_refused(json!({"vocab_size": 0}), "vocab_size");
    }

    #[test]
    fn contradictions_are_refused_by_name() {
        check_refused(
            json!({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}}),
            "rope_theta",
        );
        check_refused(json!({"num_key_value_heads": 3}), "num_key_value_heads");
        check_refused(json!({"num_attention_heads": 5}), "num_attention_heads");
        check_refused(json!({"head_dim": 7}), "head_dim");
        check_refused(json!({"pad_token_id": 2048}), "pad_token_id");
        check_refused(json!({"pad_token_id": -2049}), "pad_token_id");
        check_refused(json!({"pad_token_id": 0.5}), "pad_token_id");
        check_refused(json!({"dtype": "float32", "torch_dtype": "float16"}), "torch_dtype");
        let rope = |name: &str, fields: Value| json!({ (name): fields });
        let mut both = rope("rope_parameters", json!({"rope_type": "linear", "factor": 4.0}));
        both["rope_scaling"] = json!({"rope_type": "linear", "factor": 2.0});
        check_refused(both.clone(), "rope_scaling.factor");
        both["rope_scaling"] = json!({"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0});
        check_refused(both.clone(), "rope_scaling.rope_type");
        both["rope_scaling"] = both["rope_parameters"].clone();
        assert!(parse(&with(both)).is_ok());
        let two_types = json!({"rope_type": "linear", "type": "yarn", "factor": 4.0});
        check_refused(rope("rope_scaling", two_types), "rope_scaling.type");
    }

    #[test]
    fn numbers_that_no_model_has_are_refused_by_name() {
        check_refused(json!({"rms_norm_eps": 0}), "rms_norm_eps");
        check_refused(json!({"rms_norm_eps": -1e-6}), "rms_norm_eps");
        check_refused(json!({"vocab_size": 4_000_000_000_u64}), "vocab_size");
        check_refused(json!({"num_hidden_layers": 4_000_000_000_u64}), "num_hidden_layers");
        check_refused(json!({"num_attention_heads": 1 << 20, "head_dim": 1 << 20}), "head_dim");
        for model_type in ["gemma2", "gemma3_text"] {
            for scalar in [0, -4] {
                let fields = json!({"model_type": model_type, "query_pre_attn_scalar": scalar});
                check_refused(fields, "query_pre_attn_scalar");
            }
        }
        for layers in [json!(1.5), json!(-1)] {
            let fields = json!({"model_type": "qwen2", "num_key_value_heads": 2, "max_window_layers": layers});
            check_refused(fields, "max_window_layers");
        }
        let scaled = |rope_type: &str, fields: Value| {
            let mut scaling = json!({"rope_type": rope_type, "factor": 4.0});
            scaling
                .as_object_mut()
                .expect("an object")
                .extend(fields.as_object().expect("an object").clone());
            json!({ "rope_scaling": scaling })
        };
        check_refused(scaled("yarn", json!({"beta_fast": -1})), "rope_scaling.beta_fast");
        check_refused(scaled("yarn", json!({"beta_slow": 0})), "rope_scaling.beta_slow");
        check_refused(
            scaled("yarn", json!({"beta_fast": 1, "beta_slow": 32})),
            "rope_scaling.beta_fast",
        );
        for high in [1.0, 4.0] {
            let fields = json!({"low_freq_factor": 4.0, "high_freq_factor": high});
            check_refused(scaled("llama3", fields), "rope_scaling.low_freq_factor");
        }
    }

    /// transformers 5.24 stores the field and never reads it.
    #[test]
    fn gemma_3_caps_no_attention() {
        let fields = json!({"model_type": "gemma3_text", "attn_logit_softcapping": 50.0});
        assert_eq!(parse(&with(fields)).expect("a config").attention_softcap, None);
    }

    /// As `nn.Embedding` reads it, and as transformers' configurations have it where it is missing.
    #[test]
    fn padding_is_a_row_counted_from_either_end() {
        let of = |changes: Value| parse(&with(changes)).expect("a config").padding_token;
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({"pad_token_id": null})), None);
        assert_eq!(of(json!({"pad_token_id": 7})), Some(7));
        assert_eq!(of(json!({"pad_token_id": -1})), Some(2047));
        let gemma = json!({"model_type": "gemma", "num_key_value_heads": 4});
        assert_eq!(of(gemma), Some(0));
        assert_eq!(of(json!({"model_type": "gemma2", "pad_token_id": null})), None);
    }

    /// transformers 5.24 warns of the others and loads the model; a token that cannot be drawn ends nothing.
    #[test]
    fn end_tokens_are_those_that_the_vocabulary_has() {
        let of = |changes: Value| parse(&with(changes)).expect("a config").end_tokens;
        let none: [u32; 0] = [];
        assert_eq!(of(json!({})), none);
        assert_eq!(of(json!({"eos_token_id": null})), none);
        assert_eq!(of(json!({"eos_token_id": 2047})), [2047]);
        assert_eq!(of(json!({"eos_token_id": 2048})), none);
        assert_eq!(of(json!({"eos_token_id": -1})), none);
        assert_eq!(of(json!({"eos_token_id": [7, -1, 128_009, 0]})), [7, 0]);
        check_refused(json!({"eos_token_id": "</s>"}), "eos_token_id");
        check_refused(json!({"eos_token_id": [0, 0.5]}), "eos_token_id");
    }

    /// Where null and missing differ, as transformers has it.
    #[test]
    fn a_null_is_not_a_missing_field() {
        let of = |changes: Value| parse(&with(changes)).expect("a config");
        let mistral = |window: Value| {
            of(json!({"model_type": "mistral", "num_key_value_heads": 4, "sliding_window": window}))
        };
        assert_eq!(mistral(Value::Null).layers[0].window, None);
        assert_eq!(mistral(json!(7)).layers[0].window, Some(7));
        let missing = of(json!({"model_type": "mistral", "num_key_value_heads": 4}));
        assert_eq!(missing.layers[0].window, Some(4096));
        for (model_type, missing) in [("llama", 64), ("mistral", 8), ("qwen2", 32), ("qwen3", 32)] {
            let mut fields = json!({"model_type": model_type, "num_attention_heads": 64});
            assert_eq!(of(fields.clone()).n_kv_heads, missing, "{model_type}");
            fields["num_key_value_heads"] = Value::Null;
            assert_eq!(of(fields).n_kv_heads, 64, "{model_type}");
        }
        let gemma2 = |changes: Value| {
            let mut fields = json!({"model_type": "gemma2"});
            fields
                .as_object_mut()
                .expect("an object")
                .extend(changes.as_object().expect("an object").clone());
            of(fields).attention_softcap
        };
        assert_eq!(gemma2(json!({})), Some(50.0));
        assert_eq!(gemma2(json!({"attn_logit_softcapping": null})), None);
    }

    #[test]
    fn layers_that_slide_are_the_usual_ones_or_those_that_are_named() {
        let windows = |changes: Value| -> Vec<bool> {
            let layers = parse(&with(changes)).expect("a config").layers;
            layers.iter().map(|layer| layer.window.is_some()).collect()
        };
        assert_eq!(windows(json!({"model_type": "gemma2"})), [true, false, true, false]);
        let gemma3 = json!({"model_type": "gemma3_text", "sliding_window_pattern": 3});
        assert_eq!(windows(gemma3), [true, true, false, true]);
        let gemma3 = json!({"model_type": "gemma3_text", "_sliding_window_pattern": 3});
        assert_eq!(windows(gemma3), [true; 4]);
        let qwen2 = json!({"model_type": "qwen2", "num_key_value_heads": 2, "use_sliding_window": true, "max_window_layers": 2});
        assert_eq!(windows(qwen2), [false, false, true, true]);
        let named = json!({"model_type": "gemma2", "layer_types": ["full_attention", "full_attention", "sliding_attention", "full_attention"]});
        assert_eq!(windows(named), [false, false, true, false]);
        check_refused(
            json!({"model_type": "gemma2", "layer_types": ["full_attention"]}),
            "layer_types",
        );
    }

    /// Fields of files as they are published, beside those that describe the decoder.
    #[test]
    fn what_published_files_carry_along_is_taken_at_the_value_that_changes_nothing() {
        let plain = parse(&with(json!({"num_key_value_heads": 2}))).expect("a config");
        for (model_type, fields) in [
            (
                "llama",
                json!({"is_llama_config": true, "rope_interleaved": false, "transformers.js_config": {"kv_cache_dtype": {}}}),
            ),
            (
                "llama",
                json!({"pretraining_tp": 1, "max_sequence_length": 2048, "unsloth_fixed": true, "pruned_heads": {}}),
            ),
            (
                "llama",
                json!({"is_decoder": false, "is_encoder_decoder": false, "num_labels": 2, "use_bfloat16": false}),
            ),
            (
                "llama",
                json!({"_commit_hash": "0123abc", "model_max_length": 4096, "_attn_implementation_internal": "sdpa"}),
            ),
            ("llama", json!({"layer_types": vec!["full_attention"; 4]})),
            ("mistral", json!({"sliding_window": null, "layer_types": vec!["full_attention"; 4]})),
            ("mistral", json!({"sliding_window": 4, "layer_types": vec!["sliding_attention"; 4]})),
            (
                "qwen2",
                json!({"use_mrope": false, "use_sliding_window": false, "sliding_window": 131_072, "max_window_layers": 28}),
            ),
            (
                "qwen3",
                json!({"attention_bias": false, "head_dim": 32, "max_window_layers": 28, "sliding_window": null}),
            ),
            ("gemma", json!({"hidden_act": "gelu", "hidden_activation": null, "head_dim": 32})),
            (
                "gemma2",
                json!({"sliding_window": 4096, "sliding_window_size": 4096, "cache_implementation": "hybrid", "hidden_act": "gelu_pytorch_tanh"}),
            ),
            (
                "gemma3_text",
                json!({"_sliding_window_pattern": 6, "rope_local_base_freq": 1e4, "use_bidirectional_attention": false, "cache_implementation": "hybrid"}),
            ),
        ] {
            let mut all = json!({"model_type": model_type, "num_key_value_heads": 2});
            let all_fields = all.as_object_mut().expect("an object");
            all_fields.extend(fields.as_object().expect("an object").clone());
            let config = parse(&with(all)).unwrap_or_else(|fault| panic!("{fields}: {fault}"));
            if model_type == "llama" {
                assert_eq!(config, plain, "{fields}");
            }
        }
        for attention_bias in [false, true] {
            for (model_type, qkv) in [("mistral", false), ("qwen2", true)] {
                let fields = json!({"model_type": model_type, "num_key_value_heads": 2, "attention_bias": attention_bias});
                let biases = parse(&with(fields)).expect("a config").biases;
                assert_eq!(biases, Biases { qkv, o: false, mlp: false }, "{model_type}");
            }
        }
        check_refused(json!({"use_mrope": true}), "use_mrope");
        check_refused(json!({"is_encoder_decoder": true}), "is_encoder_decoder");
        check_refused(json!({"rope_interleaved": true}), "rope_interleaved");
        check_refused(
            json!({"layer_types": ["full_attention", "sliding_attention", "full_attention", "full_attention"]}),
            "layer_types",
        );
        check_refused(
            json!({"model_type": "mistral", "num_key_value_heads": 4, "layer_types": vec!["full_attention"; 4]}),
            "layer_types",
        );
        check_refused(
            json!({"model_type": "gemma2", "sliding_window": 4096, "sliding_window_size": 2048}),
            "sliding_window_size",
        );
    }

    #[test]
    fn a_file_that_is_not_json_is_refused() {
        assert!(matches!(DecoderConfig::parse(b"not json"), Err(Fault::Config { .. })));
    }
}
