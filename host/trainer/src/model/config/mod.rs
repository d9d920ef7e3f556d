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
use fields::{Fields, contradiction};

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
    /// Tokens that end a completion.
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
        let config = Family::read(&mut fields)?.config(&mut fields)?;
        fields.refuse_the_rest()?;
        config.check()?;
        Ok(config)
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
        if !self.learned_positions && !self.head_width.is_multiple_of(2) {
            return Err(contradiction(
                "head_dim",
                format!("rotary positions need an even width, got {}", self.head_width),
            ));
        }
        match self.end_tokens.iter().find(|token| **token as usize >= self.vocabulary) {
            Some(token) => Err(contradiction(
                "eos_token_id",
                format!("{token} is outside vocab_size = {}", self.vocabulary),
            )),
            None => Ok(()),
        }
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
        check_refused(json!({"eos_token_id": [0, 2048]}), "eos_token_id");
        check_refused(json!({"pad_token_id": 2048}), "pad_token_id");
        check_refused(json!({"pad_token_id": -2049}), "pad_token_id");
        check_refused(json!({"pad_token_id": 0.5}), "pad_token_id");
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
        let qwen2 = json!({"model_type": "qwen2", "num_key_value_heads": 2, "use_sliding_window": true, "max_window_layers": 2});
        assert_eq!(windows(qwen2), [false, false, true, true]);
        let named = json!({"model_type": "gemma2", "layer_types": ["full_attention", "full_attention", "sliding_attention", "full_attention"]});
        assert_eq!(windows(named), [false, false, true, false]);
        check_refused(
            json!({"model_type": "gemma2", "layer_types": ["full_attention"]}),
            "layer_types",
        );
    }

    #[test]
    fn a_file_that_is_not_json_is_refused() {
        assert!(matches!(DecoderConfig::parse(b"not json"), Err(Fault::Config { .. })));
    }
}
