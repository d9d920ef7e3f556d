//! Where each tensor of a decoder lies in one flat buffer.
//!
//! Weights, gradients and the optimizer's moments are flat buffers of the same layout, so that an update, a
//! norm or a check for NaN is one pass over memory, and a tensor is a range with a name. The names are
//! Hugging Face's, by family. A linear layer's weight lies as \[outputs, inputs\], also where the file has it the other way
//! round (GPT-2). Not here: the numbers themselves.

use std::borrow::Cow;
use std::ops::Range;

use super::config::{DecoderConfig, Family, NormKind};
use crate::fault::Fault;

/// A tensor's place in the flat buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// First element.
    pub start: usize,
    /// Number of elements.
    pub len: usize,
}

impl Slot {
    /// One past the last element.
    pub fn end(self) -> usize {
        self.start + self.len
    }

    /// Its elements.
    pub fn range(self) -> Range<usize> {
        self.start..self.end()
    }

    /// The tensor inside a flat buffer.
    pub fn of(self, buffer: &[f32]) -> &[f32] {
        &buffer[self.range()]
    }

    /// The tensor inside a flat buffer, to write.
    pub fn of_mut(self, buffer: &mut [f32]) -> &mut [f32] {
        &mut buffer[self.range()]
    }

    /// `len` elements from `offset` on.
    fn part(self, offset: usize, len: usize) -> Self {
        assert!(offset + len <= self.len, "a part of {len} at {offset} exceeds {}", self.len);
        Self { start: self.start + offset, len }
    }
}

/// A named tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Hugging Face's name, such as `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// Rows and columns of a matrix, or the length of a norm's weight or of a bias, as in the file.
    pub shape: Vec<usize>,
    /// Whether the file has the matrix the other way round than the buffer.
    pub transposed: bool,
    /// Where it lies.
    pub slot: Slot,
}

impl Tensor {
    /// Whether this is a matrix and not a norm's weight or a bias.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() > 1
    }

    /// The tensor of a flat buffer in the file's order.
    pub fn in_file_order<'a>(&self, buffer: &'a [f32]) -> Cow<'a, [f32]> {
        let values = self.slot.of(buffer);
        match self.transposed {
            false => Cow::Borrowed(values),
            true => Cow::Owned(transposed(values, self.shape[1], self.shape[0])),
        }
    }

    /// Turns the tensor from the file's order into the buffer's, in place.
    pub(super) fn take_file_order(&self, buffer: &mut [f32]) {
        if self.transposed {
            let values = self.slot.of_mut(buffer);
            let turned = transposed(values, self.shape[0], self.shape[1]);
            values.copy_from_slice(&turned);
        }
    }
}

/// Rows become columns.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let column = |column: usize| (0..rows).map(move |row| values[row * columns + column]);
    (0..columns).flat_map(column).collect()
}

/// A linear layer's tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearSlots {
    /// \[outputs, inputs\]
    pub weight: Slot,
    /// \[outputs\]
    pub bias: Option<Slot>,
}

/// A norm's tensors, both \[width\].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormSlots {
    /// The weight.
    pub weight: Slot,
    /// LayerNorm's bias.
    pub bias: Option<Slot>,
}

/// The tensors of one block. D width, Q all query heads, K all key heads, F feed-forward.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSlots {
    /// D
    pub attention_norm: NormSlots,
    /// D → Q
    pub q: LinearSlots,
    /// D → K
    pub k: LinearSlots,
    /// D → K
    pub v: LinearSlots,
    /// Width of a head.
    pub q_norm: Option<NormSlots>,
    /// Width of a head.
    pub k_norm: Option<NormSlots>,
    /// Q → D
    pub o: LinearSlots,
    /// D
    pub attention_output_norm: Option<NormSlots>,
    /// D
    pub mlp_norm: NormSlots,
    /// D → F
    pub gate: Option<LinearSlots>,
    /// D → F
    pub up: LinearSlots,
    /// F → D
    pub down: LinearSlots,
    /// D
    pub mlp_output_norm: Option<NormSlots>,
}

/// The tensors of a decoder in the order in which they lie in the buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// All tensors by name; together they cover the buffer.
    pub tensors: Vec<Tensor>,
    /// \[V, D\]
    pub embedding: Slot,
    /// \[context, D\]
    pub positions: Option<Slot>,
    /// One entry per block.
    pub layers: Vec<LayerSlots>,
    /// D
    pub final_norm: NormSlots,
    /// \[V, D\]; the embedding's own slot where the head is tied.
    pub head: Slot,
}

/// Hugging Face's name of the head.
pub(super) const HEAD: &str = "lm_head.weight";

/// What the names of the decoder's own tensors begin with. Some files leave it out.
pub(super) const PREFIXES: [&str; 2] = ["model.", "transformer."];

impl Layout {
    /// The layout of a decoder, with its family's names.
    pub fn new(config: &DecoderConfig) -> Self {
        let mut placing = Placing { tensors: Vec::new(), config };
        let (d, v) = (config.width, config.vocabulary);
        let names = match config.family {
            Family::Gpt2 => ["transformer.wte", "transformer.ln_f"],
            _ => ["model.embed_tokens", "model.norm"],
        };
        let embedding = placing.place(&format!("{}.weight", names[0]), &[v, d]);
        let positions = config
            .learned_positions
            .then(|| placing.place("transformer.wpe.weight", &[config.context, d]));
        let layers = (0..config.n_layers())
            .map(|layer| match config.family {
                Family::Gpt2 => placing.gpt2_layer(layer),
                _ => placing.llama_layer(layer),
            })
            .collect();
        let final_norm = placing.norm(names[1], d);
        let head = match config.tied_head {
            true => embedding,
            false => placing.place(HEAD, &[v, d]),
        };
        Self { tensors: placing.tensors, embedding, positions, layers, final_norm, head }
    }

    /// Number of parameters: the length of the buffer.
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |tensor| tensor.slot.end())
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tensor that covers an element of the buffer.
    pub fn tensor_at(&self, element: usize) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| element < tensor.slot.end())
    }

    /// The first number of the buffer that is NaN or infinite, and the tensor that it lies in.
    pub fn first_non_finite(&self, buffer: &[f32]) -> Option<(&Tensor, f32)> {
        let element = buffer.iter().position(|number| !number.is_finite())?;
        Some((self.tensor_at(element)?, buffer[element]))
    }

    /// A model's fault: what `what` says of its numbers, and which tensor is the reason.
    pub(crate) fn unusable(&self, what: &str, weights: &[f32]) -> Fault {
        let reason = match self.first_non_finite(weights) {
            Some((tensor, number)) => format!("{} holds {number}", tensor.name),
            None => "its weights are all finite, but too large to be computed with".into(),
        };
        let hint = "copy or download the model again, or take one that was trained to the end";
        Fault::weights(format!("{what}: {reason}"), hint)
    }
}

/// Tensors placed so far, one behind the other.
struct Placing<'a> {
    tensors: Vec<Tensor>,
    config: &'a DecoderConfig,
}

impl Placing<'_> {
    fn place(&mut self, name: &str, shape: &[usize]) -> Slot {
        let start = self.tensors.last().map_or(0, |tensor| tensor.slot.end());
        let slot = Slot { start, len: shape.iter().product() };
        let (name, shape) = (name.into(), shape.to_vec());
        self.tensors.push(Tensor { name, shape, transposed: false, slot });
        slot
    }

    /// A matrix that the file has as \[inputs, outputs\].
    fn place_transposed(&mut self, name: &str, inputs: usize, outputs: usize) -> Slot {
        let slot = self.place(name, &[inputs, outputs]);
        if let Some(tensor) = self.tensors.last_mut() {
            tensor.transposed = true;
        }
        slot
    }

    fn norm(&mut self, name: &str, width: usize) -> NormSlots {
        let weight = self.place(&format!("{name}.weight"), &[width]);
        let biased = self.config.norm == NormKind::Layer;
        let bias = biased.then(|| self.place(&format!("{name}.bias"), &[width]));
        NormSlots { weight, bias }
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, biased: bool) -> LinearSlots {
        let weight = self.place(&format!("{name}.weight"), &[outputs, inputs]);
        let bias = biased.then(|| self.place(&format!("{name}.bias"), &[outputs]));
        LinearSlots { weight, bias }
    }

    fn llama_layer(&mut self, layer: usize) -> LayerSlots {
        let config = self.config;
        let (d, q, k, f) = (config.width, config.q_width(), config.kv_width(), config.mlp_width);
        let (biases, head) = (config.biases, config.head_width);
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        // With output norms, the name that others give to the norm before the feed-forward layer is the one after
        // attention.
        let (between, before_mlp) = match config.output_norms {
            true => (Some("post_attention_layernorm"), "pre_feedforward_layernorm"),
            false => (None, "post_attention_layernorm"),
        };
        let per_head = config.query_key_norm;
        LayerSlots {
            attention_norm: self.norm(&name("input_layernorm"), d),
            q: self.linear(&name("self_attn.q_proj"), d, q, biases.qkv),
            k: self.linear(&name("self_attn.k_proj"), d, k, biases.qkv),
            v: self.linear(&name("self_attn.v_proj"), d, k, biases.qkv),
            q_norm: per_head.then(|| self.norm(&name("self_attn.q_norm"), head)),
            k_norm: per_head.then(|| self.norm(&name("self_attn.k_norm"), head)),
            o: self.linear(&name("self_attn.o_proj"), q, d, biases.o),
            attention_output_norm: between.map(|between| self.norm(&name(between), d)),
            mlp_norm: self.norm(&name(before_mlp), d),
            gate: config.gated.then(|| self.linear(&name("mlp.gate_proj"), d, f, biases.mlp)),
            up: self.linear(&name("mlp.up_proj"), d, f, biases.mlp),
            down: self.linear(&name("mlp.down_proj"), f, d, biases.mlp),
            mlp_output_norm: config
                .output_norms
                .then(|| self.norm(&name("post_feedforward_layernorm"), d)),
        }
    }

    /// GPT-2 keeps queries, keys and values in one tensor.
    fn gpt2_layer(&mut self, layer: usize) -> LayerSlots {
        let (d, f) = (self.config.width, self.config.mlp_width);
        let name = |part: &str| format!("transformer.h.{layer}.{part}");
        let linear = |placing: &mut Self, part: &str, inputs, outputs| LinearSlots {
            weight: placing.place_transposed(&name(&format!("{part}.weight")), inputs, outputs),
            bias: Some(placing.place(&name(&format!("{part}.bias")), &[outputs])),
        };
        let attention_norm = self.norm(&name("ln_1"), d);
        let qkv = linear(self, "attn.c_attn", d, 3 * d);
        let third = |index: usize| LinearSlots {
            weight: qkv.weight.part(index * d * d, d * d),
            bias: qkv.bias.map(|bias| bias.part(index * d, d)),
        };
        LayerSlots {
            attention_norm,
            q: third(0),
            k: third(1),
            v: third(2),
            q_norm: None,
            k_norm: None,
            o: linear(self, "attn.c_proj", d, d),
            attention_output_norm: None,
            mlp_norm: self.norm(&name("ln_2"), d),
            gate: None,
            up: linear(self, "mlp.c_fc", d, f),
            down: linear(self, "mlp.c_proj", f, d),
            mlp_output_norm: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(changes: &str) -> DecoderConfig {
        let fields = r#""hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 2048, "max_position_embeddings": 256"#;
        let json = format!("{{{fields}, {changes}}}");
        DecoderConfig::parse(json.as_bytes()).expect("a config")
    }

    fn llama(tied: bool) -> Layout {
        let tied = format!(r#""model_type": "llama", "tie_word_embeddings": {tied}"#);
        Layout::new(&config(&tied))
    }

    /// The published size of the sentiment task's base model.
    #[test]
    fn a_tied_head_is_counted_once() {
        let (tied, untied) = (llama(true), llama(false));
        assert_eq!(tied.len(), 1_000_576);
        assert_eq!(untied.len(), 1_000_576 + 2048 * 128);
        assert_eq!(tied.head, tied.embedding);
    }

    /// The published size of GPT-2.
    #[test]
    fn gpt2_has_as_many_parameters_as_published() {
        let json = br#"{"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "vocab_size": 50257}"#;
        let layout = Layout::new(&DecoderConfig::parse(json).expect("a config"));
        assert_eq!(layout.len(), 124_439_808);
    }

    #[test]
    fn tensors_cover_the_buffer_without_gap_or_overlap() {
        let gemma3 = Layout::new(&config(r#""model_type": "gemma3_text""#));
        for layout in [llama(false), gemma3] {
            let mut end = 0;
            for tensor in &layout.tensors {
                assert_eq!(tensor.slot.start, end, "{}", tensor.name);
                end = tensor.slot.end();
            }
            let last = layout.tensors.last().map(|tensor| tensor.name.as_str());
            assert_eq!(layout.tensor_at(end - 1).map(|tensor| tensor.name.as_str()), last);
            assert_eq!(layout.tensor_at(end), None);
        }
    }

    #[test]
    fn a_transposed_tensor_comes_back_in_the_order_of_its_file() {
        let slot = Slot { start: 0, len: 6 };
        let tensor = Tensor { name: "w".into(), shape: vec![2, 3], transposed: true, slot };
        let file = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut buffer = file;
        tensor.take_file_order(&mut buffer);
        assert_eq!(buffer, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(*tensor.in_file_order(&buffer), file);
    }
}
