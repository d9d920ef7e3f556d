//! The families of models, each a way to fill in the description.
//!
//! Where a field may be missing, the value is the one that transformers takes for the family. GPT-2, Llama, Mistral,
//! Qwen2, Qwen3, Gemma, Gemma 2 and the text decoder of Gemma 3.

use kernels::activation::Activation;
use serde_json::Value;

use super::fields::{COUNT_MAX, Fields, contradiction};
use super::rope::{self, Rope};
use super::{Biases, DecoderConfig, LayerConfig, NormKind};
use crate::fault::Fault;

/// Whose configuration and whose names a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Radford et al. 2019.
    Gpt2,
    /// Touvron et al. 2023 (arXiv:2302.13971) and later.
    Llama,
    /// Jiang et al. 2023 (arXiv:2310.06825).
    Mistral,
    /// Yang et al. 2024 (arXiv:2407.10671), Qwen2.5 too.
    Qwen2,
    /// Yang et al. 2025 (arXiv:2505.09388), dense models.
    Qwen3,
    /// Gemma team 2024 (arXiv:2403.08295).
    Gemma,
    /// Gemma team 2024 (arXiv:2408.00118).
    Gemma2,
    /// Gemma team 2025 (arXiv:2503.19786), text only.
    Gemma3,
}

/// Every family with its `model_type` and its entry in `architectures`.
const FAMILIES: [(Family, &str, &str); 8] = [
    (Family::Gpt2, "gpt2", "GPT2LMHeadModel"),
    (Family::Llama, "llama", "LlamaForCausalLM"),
    (Family::Mistral, "mistral", "MistralForCausalLM"),
    (Family::Qwen2, "qwen2", "Qwen2ForCausalLM"),
    (Family::Qwen3, "qwen3", "Qwen3ForCausalLM"),
    (Family::Gemma, "gemma", "GemmaForCausalLM"),
    (Family::Gemma2, "gemma2", "Gemma2ForCausalLM"),
    (Family::Gemma3, "gemma3_text", "Gemma3ForCausalLM"),
];

impl Family {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Fault> {
        let model_type = fields.text("model_type")?;
        let known = FAMILIES.iter().find(|(_, name, _)| model_type.as_deref() == Some(*name));
        let Some((family, _, architecture)) = known else {
            return Err(unsupported(model_type.as_deref()));
        };
        fields.expect("architectures", &serde_json::json!([architecture]))?;
        Ok(*family)
    }

    pub(super) fn config(self, fields: &mut Fields) -> Result<DecoderConfig, Fault> {
        match self {
            Self::Gpt2 => gpt2(fields),
            Self::Llama => llama(fields),
            Self::Mistral => mistral(fields),
            Self::Qwen2 | Self::Qwen3 => qwen(self, fields),
            Self::Gemma => gemma(fields),
            Self::Gemma2 => gemma2(fields),
            Self::Gemma3 => gemma3(fields),
        }
    }
}

fn unsupported(model_type: Option<&str>) -> Fault {
    let message = match model_type {
        Some(name) => format!("\"{name}\" is not a supported family"),
        None => "is missing".into(),
    };
    let names: Vec<&str> = FAMILIES.iter().map(|(_, name, _)| *name).collect();
    Fault::config("model_type", message, format!("supported families: {}", names.join(", ")))
}

fn gpt2(fields: &mut Fields) -> Result<DecoderConfig, Fault> {
    fields.expect("scale_attn_by_inverse_layer_idx", &false.into())?;
    let width = fields.count("n_embd")?;
    let n_heads = fields.count("n_head")?;
    let context = fields.optional_count("n_positions")?.unwrap_or(1024);
    fields.expect("n_ctx", &context.into())?;
    let head_width = head_width(None, width, n_heads, ("n_embd", "n_head"))?;
    let scaled = fields.flag("scale_attn_weights")?.unwrap_or(true);
    let vocabulary = fields.count("vocab_size")?;
    let layer = LayerConfig { rope: None, window: None };
    Ok(DecoderConfig {
        family: Family::Gpt2,
        width,
        n_heads,
        n_kv_heads: n_heads,
        head_width,
        mlp_width: fields.optional_count("n_inner")?.unwrap_or(4 * width),
        vocabulary,
        context,
        layers: vec![layer; fields.layers("n_layer")?],
        norm: NormKind::Layer,
        norm_epsilon: fields.optional_positive("layer_norm_epsilon")?.unwrap_or(1e-5) as f32,
        query_key_norm: false,
        output_norms: false,
        learned_positions: true,
        gated: false,
        activation: activation(fields, "activation_function", "gelu_new")?,
        biases: Biases { qkv: true, o: true, mlp: true },
        attention_scale: if scaled { inverse_root(head_width as f64) } else { 1.0 },
        attention_softcap: None,
        logits_softcap: None,
        embedding_scale: None,
        tied_head: fields.flag("tie_word_embeddings")?.unwrap_or(true),
        end_tokens: fields.tokens("eos_token_id", vocabulary)?,
        padding_token: None,
    })
}

/// What a family of Llama's descent takes for a missing field.
struct Missing {
    n_kv_heads: Option<usize>,
    head_width: Option<usize>,
    context: usize,
    activation: (&'static str, &'static str),
    tied_head: bool,
    padding_token: Option<f64>,
}

impl Missing {
    const LLAMA: Self = Self {
        n_kv_heads: None,
        head_width: None,
        context: 2048,
        activation: ("hidden_act", "silu"),
        tied_head: false,
        padding_token: None,
    };
}

/// What Llama and its descendants share: RMSNorm before attention and before a gated feed-forward layer, grouped
/// heads, no bias. The caller fills in the layers and changes what differs.
fn descendant(
    family: Family,
    fields: &mut Fields,
    missing: &Missing,
) -> Result<DecoderConfig, Fault> {
    let width = fields.count("hidden_size")?;
    let n_heads = fields.count("num_attention_heads")?;
    let given = fields.optional_count("head_dim")?.or(missing.head_width);
    let head_width = head_width(given, width, n_heads, ("hidden_size", "num_attention_heads"))?;
    let n_kv_heads = fields.nullable_count("num_key_value_heads", missing.n_kv_heads)?;
    let vocabulary = fields.count("vocab_size")?;
    let (name, default) = missing.activation;
    Ok(DecoderConfig {
        family,
        width,
        n_heads,
        n_kv_heads: n_kv_heads.unwrap_or(n_heads),
        head_width,
        mlp_width: fields.count("intermediate_size")?,
        vocabulary,
        context: fields.optional_count("max_position_embeddings")?.unwrap_or(missing.context),
        layers: vec![LayerConfig { rope: None, window: None }; fields.layers("num_hidden_layers")?],
        norm: NormKind::Rms { offset: 0.0 },
        norm_epsilon: fields.optional_positive("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        query_key_norm: false,
        output_norms: false,
        learned_positions: false,
        gated: true,
        activation: activation(fields, name, default)?,
        biases: Biases { qkv: false, o: false, mlp: false },
        attention_scale: inverse_root(head_width as f64),
        attention_softcap: None,
        logits_softcap: None,
        embedding_scale: None,
        tied_head: fields.flag("tie_word_embeddings")?.unwrap_or(missing.tied_head),
        end_tokens: fields.tokens("eos_token_id", vocabulary)?,
        padding_token: padding_token(fields, vocabulary, missing.padding_token)?,
    })
}

/// `pad_token_id`, which counts from the end where it is negative, as PyTorch's embedding has it.
fn padding_token(
    fields: &mut Fields,
    vocabulary: usize,
    missing: Option<f64>,
) -> Result<Option<u32>, Fault> {
    const NAME: &str = "pad_token_id";
    let Some(given) = fields.nullable_number(NAME, missing)? else { return Ok(None) };
    let size = vocabulary as f64;
    let token = if given < 0.0 { given + size } else { given };
    if !(0.0..size).contains(&token) || token.fract() != 0.0 {
        return Err(contradiction(NAME, format!("{given} is outside vocab_size = {vocabulary}")));
    }
    Ok(Some(token as u32))
}

const ROPE_THETA: f64 = 1e4;

fn llama(fields: &mut Fields) -> Result<DecoderConfig, Fault> {
    fields.expect("pretraining_tp", &1.into())?;
    let mut config = descendant(Family::Llama, fields, &Missing::LLAMA)?;
    config.biases = attention_biases(fields)?;
    config.biases.mlp = fields.flag("mlp_bias")?.unwrap_or(false);
    alike(&mut config, fields, None)?;
    Ok(config)
}

fn mistral(fields: &mut Fields) -> Result<DecoderConfig, Fault> {
    let missing = Missing { n_kv_heads: Some(8), context: 4096 * 32, ..Missing::LLAMA };
    let mut config = descendant(Family::Mistral, fields, &missing)?;
    ignore_attention_bias(fields);
    let window = fields.window(Some(4096))?;
    alike(&mut config, fields, window)?;
    Ok(config)
}

/// Qwen2 biases queries, keys and values; Qwen3 normalises queries and keys instead. Both may let the upper layers
/// slide.
fn qwen(family: Family, fields: &mut Fields) -> Result<DecoderConfig, Fault> {
    let head_width = (family == Family::Qwen3).then_some(128);
    let missing = Missing { n_kv_heads: Some(32), head_width, context: 32768, ..Missing::LLAMA };
    let mut config = descendant(family, fields, &missing)?;
    match family {
        Family::Qwen2 => {
            ignore_attention_bias(fields);
            config.biases.qkv = true;
        }
        _ => {
            config.biases = attention_biases(fields)?;
            config.query_key_norm = true;
        }
    }
    let may_slide = fields.flag("use_sliding_window")?.unwrap_or(false);
    let window = fields.window(Some(4096))?.filter(|_| may_slide);
    let first_sliding = fields.whole("max_window_layers", 0..=COUNT_MAX)?.unwrap_or(28);
    let usual = |layer: usize| window.is_some() && layer >= first_sliding;
    let rope = Rope::read(fields, ROPE_THETA, config.context)?;
    slide(&mut config, fields, window, usual, |_| rope.clone())?;
    Ok(config)
}

fn gemma_missing(n_kv_heads: usize, context: usize, activation: &'static str) -> Missing {
    Missing {
        n_kv_heads: Some(n_kv_heads),
        head_width: Some(256),
        context,
        activation: (activation, "gelu_pytorch_tanh"),
        tied_head: true,
        padding_token: Some(0.0),
    }
}

/// What all of Gemma share beyond Llama: √D times the embedding, and norms whose weight acts as 1 + w.
fn gemma_descendant(
    family: Family,
    fields: &mut Fields,
    missing: &Missing,
) -> Result<DecoderConfig, Fault> {
    fields.expect("use_bidirectional_attention", &false.into())?;
    let mut config = descendant(family, fields, missing)?;
    config.biases = attention_biases(fields)?;
    config.norm = NormKind::Rms { offset: 1.0 };
    config.embedding_scale = Some((config.width as f64).sqrt() as f32);
    Ok(config)
}

fn gemma(fields: &mut Fields) -> Result<DecoderConfig, Fault> {
    // Older files say twice which activation it is, and "gelu" where the approximation by tanh is meant.
    let older = fields.text("hidden_activation")?;
    let mut config =
        gemma_descendant(Family::Gemma, fields, &gemma_missing(16, 8192, "hidden_act"))?;
    if older.is_some_and(|name| !name.starts_with("gelu")) {
        return Err(contradiction("hidden_activation", "Gemma's is gelu_pytorch_tanh".into()));
    }
    if config.activation == Activation::Gelu {
        config.activation = Activation::GeluTanh;
    }
    alike(&mut config, fields, None)?;
    Ok(config)
}

fn gemma2(fields: &mut Fields) -> Result<DecoderConfig, Fault> {
    let missing = gemma_missing(4, 8192, "hidden_activation");
    fields.expect("hidden_act", &"gelu_pytorch_tanh".into())?;
    let mut config = gemma_descendant(Family::Gemma2, fields, &missing)?;
    config.output_norms = true;
    let scalar = fields.optional_positive("query_pre_attn_scalar")?.unwrap_or(256.0);
    config.attention_scale = inverse_root(scalar);
    config.attention_softcap = fields.softcap("attn_logit_softcapping", Some(50.0))?;
    config.logits_softcap = fields.softcap("final_logit_softcapping", Some(30.0))?;
    let window = fields.window(Some(4096))?;
    // Published beside sliding_window, with its value; transformers reads that one only.
    fields.expect("sliding_window_size", &window.into())?;
    let rope = Rope::read(fields, ROPE_THETA, config.context)?;
    slide(&mut config, fields, window, |layer| layer % 2 == 0, |_| rope.clone())?;
    Ok(config)
}

fn gemma3(fields: &mut Fields) -> Result<DecoderConfig, Fault> {
    let missing = gemma_missing(4, 131_072, "hidden_activation");
    let mut config = gemma_descendant(Family::Gemma3, fields, &missing)?;
    config.output_norms = true;
    config.query_key_norm = true;
    let scalar = fields.optional_positive("query_pre_attn_scalar")?.unwrap_or(256.0);
    config.attention_scale = inverse_root(scalar);
    // transformers stores it and never uses it.
    let _ = fields.softcap("attn_logit_softcapping", None)?;
    config.logits_softcap = fields.softcap("final_logit_softcapping", None)?;
    let window = fields.window(Some(4096))?;
    // The same with an underscore is neutral: transformers writes it and does not read it.
    let period = fields.optional_count("sliding_window_pattern")?.unwrap_or(6);
    let (sliding, full) = rope::read_pair(fields, config.context)?;
    let rope = |slides: bool| if slides { sliding.clone() } else { full.clone() };
    slide(&mut config, fields, window, |layer| !(layer + 1).is_multiple_of(period), rope)?;
    Ok(config)
}

/// Fills in layers that do not differ.
fn alike(
    config: &mut DecoderConfig,
    fields: &mut Fields,
    window: Option<usize>,
) -> Result<(), Fault> {
    let rope = Rope::read(fields, ROPE_THETA, config.context)?;
    // These families do not read the list, so it must say what they do.
    if let Some(slides) = layer_types(fields, config.n_layers())?
        && slides.contains(&window.is_none())
    {
        let all = if window.is_some() { "sliding_attention" } else { "full_attention" };
        let message = format!("layers of this family are alike, here all {all}");
        return Err(contradiction("layer_types", message));
    }
    config.layers.fill(LayerConfig { rope: Some(rope), window });
    Ok(())
}

/// `attention_bias` is of all four projections.
fn attention_biases(fields: &mut Fields) -> Result<Biases, Fault> {
    let biased = fields.flag("attention_bias")?.unwrap_or(false);
    Ok(Biases { qkv: biased, o: biased, mlp: false })
}

/// These families' biases are always the same, whatever the field says: transformers does not read it.
fn ignore_attention_bias(fields: &mut Fields) {
    let _ = fields.take("attention_bias");
}

/// Fills in the layers: those that `layer_types` names, or else those that are usual, see a window only.
fn slide(
    config: &mut DecoderConfig,
    fields: &mut Fields,
    window: Option<usize>,
    usual: impl Fn(usize) -> bool,
    rope: impl Fn(bool) -> Rope,
) -> Result<(), Fault> {
    let n_layers = config.layers.len();
    let slides = layer_types(fields, n_layers)?;
    let slides = slides.unwrap_or_else(|| (0..n_layers).map(usual).collect());
    for (layer, slides) in config.layers.iter_mut().zip(slides) {
        if slides && window.is_none() {
            return Err(contradiction(
                "layer_types",
                "a layer slides, but sliding_window is not set".into(),
            ));
        }
        *layer = LayerConfig { rope: Some(rope(slides)), window: window.filter(|_| slides) };
    }
    Ok(())
}

/// A list of `sliding_attention` and `full_attention`, if there is one: whether each layer slides.
fn layer_types(fields: &mut Fields, n_layers: usize) -> Result<Option<Vec<bool>>, Fault> {
    let Some(value) = fields.take("layer_types") else { return Ok(None) };
    let kinds =
        value.as_array().map(|kinds| kinds.iter().map(slides).collect::<Option<Vec<bool>>>());
    match kinds.flatten() {
        Some(kinds) if kinds.len() == n_layers => Ok(Some(kinds)),
        Some(kinds) => Err(contradiction(
            "layer_types",
            format!("has {} entries for num_hidden_layers = {n_layers}", kinds.len()),
        )),
        None => Err(contradiction(
            "layer_types",
            format!("expected a list of \"full_attention\" and \"sliding_attention\", got {value}"),
        )),
    }
}

fn slides(kind: &Value) -> Option<bool> {
    match kind.as_str() {
        Some("sliding_attention") => Some(true),
        Some("full_attention") => Some(false),
        _ => None,
    }
}

fn head_width(
    given: Option<usize>,
    width: usize,
    n_heads: usize,
    (width_name, heads_name): (&str, &str),
) -> Result<usize, Fault> {
    match given {
        Some(head_width) => Ok(head_width),
        None if width.is_multiple_of(n_heads) => Ok(width / n_heads),
        None => Err(contradiction(
            heads_name,
            format!("{n_heads} does not divide {width_name} = {width}"),
        )),
    }
}

fn inverse_root(x: f64) -> f32 {
    (1.0 / x.sqrt()) as f32
}

/// Hugging Face's names; three of them are the same approximation by tanh.
fn activation(fields: &mut Fields, name: &str, default: &str) -> Result<Activation, Fault> {
    let given = fields.text(name)?;
    match given.as_deref().unwrap_or(default) {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(Fault::config(
            name,
            format!("\"{other}\" is not supported"),
            "supported: silu, gelu, gelu_new, gelu_pytorch_tanh, relu",
        )),
    }
}
