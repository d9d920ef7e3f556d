//! What a `config.json` says about a decoder, turned into what it means.
//!
//! One description covers the decoders that this crate can compute; a family is a way to fill it in.
//! transformers 5 writes `rope_parameters` and `dtype`, older versions `rope_theta` and `torch_dtype`; both
//! are read. A field that could change the arithmetic and is not understood is refused by its name, as is
//! a field that contradicts another: a model that is computed almost right is worse than none.
//!
//! Not here: the weights (`checkpoint`), the arithmetic (`decoder`).

use serde_json::Value;

use super::fields::{Fields, contradiction, wrong_type};
use crate::fault::Fault;

/// A decoder-only transformer: normalisation, attention with rotary positions, gated feed-forward.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Number of blocks, L.
    pub n_layers: usize,
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
    /// Added to the mean square in RMSNorm.
    pub norm_epsilon: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// Tokens that end a completion.
    pub end_tokens: Vec<u32>,
}

impl DecoderConfig {
    /// Reads a Hugging Face `config.json`.
    pub fn parse(json: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields::parse(json)?;
        let family = fields.text("model_type")?;
        let config = match family.as_deref() {
            Some("llama") => llama(&mut fields)?,
            other => return Err(unsupported_family(other)),
        };
        fields.refuse_the_rest()?;
        config.check()?;
        Ok(config)
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
        if !self.head_width.is_multiple_of(2) {
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

/// The Llama family: every block normalises before attention and before the feed-forward layer.
fn llama(fields: &mut Fields) -> Result<DecoderConfig, Fault> {
    fields.expect("architectures", &serde_json::json!(["LlamaForCausalLM"]))?;
    fields.expect("hidden_act", &"silu".into())?;
    fields.expect("attention_bias", &false.into())?;
    fields.expect("mlp_bias", &false.into())?;
    fields.expect("attention_dropout", &0.0.into())?;
    fields.expect("pretraining_tp", &1.into())?;
    let width = fields.count("hidden_size")?;
    let n_heads = fields.count("num_attention_heads")?;
    Ok(DecoderConfig {
        n_layers: fields.count("num_hidden_layers")?,
        width,
        n_heads,
        n_kv_heads: fields.optional_count("num_key_value_heads")?.unwrap_or(n_heads),
        head_width: head_width(fields, width, n_heads)?,
        mlp_width: fields.count("intermediate_size")?,
        vocabulary: fields.count("vocab_size")?,
        context: fields.optional_count("max_position_embeddings")?.unwrap_or(2048),
        norm_epsilon: fields.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        rope_theta: rope_theta(fields)?,
        tied_head: fields.flag("tie_word_embeddings")?.unwrap_or(false),
        end_tokens: fields.tokens("eos_token_id")?,
    })
}

fn head_width(fields: &mut Fields, width: usize, n_heads: usize) -> Result<usize, Fault> {
    match fields.optional_count("head_dim")? {
        Some(head_width) => Ok(head_width),
        None if width.is_multiple_of(n_heads) => Ok(width / n_heads),
        None => Err(contradiction(
            "num_attention_heads",
            format!("{n_heads} does not divide hidden_size = {width}, and there is no head_dim"),
        )),
    }
}

/// The base of the rotary frequencies, from either form.
fn rope_theta(fields: &mut Fields) -> Result<f64, Fault> {
    let older = fields.number("rope_theta")?;
    let newer = rope_object(fields, "rope_parameters")?;
    let scaling = rope_object(fields, "rope_scaling")?;
    let mut given = [older, newer, scaling].into_iter().flatten();
    let theta = given.next().unwrap_or(10_000.0);
    match given.find(|other| *other != theta) {
        Some(other) => Err(contradiction("rope_theta", format!("given as {theta} and as {other}"))),
        None if theta > 0.0 => Ok(theta),
        None => Err(contradiction("rope_theta", format!("must be positive, got {theta}"))),
    }
}

/// `{"rope_type": "default", "rope_theta": …}`; any other type is refused.
fn rope_object(fields: &mut Fields, name: &str) -> Result<Option<f64>, Fault> {
    let inner = match fields.take(name) {
        None => return Ok(None),
        Some(Value::Object(inner)) => inner,
        Some(other) => return Err(wrong_type(name, "an object", &other)),
    };
    let mut inner = Fields::inside(name, inner);
    inner.expect("rope_type", &"default".into())?;
    inner.expect("type", &"default".into())?;
    let theta = inner.number("rope_theta")?;
    inner.refuse_the_rest()?;
    Ok(theta)
}

fn unsupported_family(model_type: Option<&str>) -> Fault {
    let message = match model_type {
        Some(name) => format!("\"{name}\" is not a supported family"),
        None => "is missing".into(),
    };
    Fault::config("model_type", message, "supported families: llama")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        assert_eq!(
            (config.rope_theta, config.norm_epsilon, config.tied_head),
            (10_000.0, 1e-6, false)
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
        assert_eq!(parse(&older).expect("the older form").rope_theta, 5e5);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        check_refused(json!({"model_type": "mamba"}), "model_type");
        check_refused(
            json!({"architectures": ["LlamaForSequenceClassification"]}),
            "architectures",
        );
        check_refused(json!({"hidden_act": "gelu"}), "hidden_act");
        check_refused(json!({"attention_bias": true}), "attention_bias");
        check_refused(json!({"quantization_config": {"bits": 4}}), "quantization_config");
        check_refused(
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}),
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
    }

    #[test]
    fn a_file_that_is_not_json_is_refused() {
        assert!(matches!(DecoderConfig::parse(b"not json"), Err(Fault::Config { .. })));
    }
}
