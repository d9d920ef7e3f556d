//! Where each tensor of a decoder lies in one flat buffer.
//!
//! Weights, gradients and the optimizer's moments are flat buffers of the same layout, so that an update, a
//! norm or a check for NaN is one pass over memory, and a tensor is a range with a name. The names are
//! Hugging Face's. Not here: the numbers themselves.

use super::config::DecoderConfig;

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

    /// The tensor inside a flat buffer.
    pub fn of(self, buffer: &[f32]) -> &[f32] {
        &buffer[self.start..self.end()]
    }

    /// The tensor inside a flat buffer, to write.
    pub fn of_mut(self, buffer: &mut [f32]) -> &mut [f32] {
        &mut buffer[self.start..self.end()]
    }
}

/// A named tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Hugging Face's name, such as `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// Rows and columns of a matrix, or the length of a norm's weight.
    pub shape: Vec<usize>,
    /// Where it lies.
    pub slot: Slot,
}

impl Tensor {
    /// Whether this is a matrix and not a norm's weight.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() > 1
    }
}

/// The tensors of one block. D width, Q all query heads, K all key heads, F feed-forward.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSlots {
    /// \[D\]
    pub attention_norm: Slot,
    /// \[Q, D\]
    pub q: Slot,
    /// \[K, D\]
    pub k: Slot,
    /// \[K, D\]
    pub v: Slot,
    /// \[D, Q\]
    pub o: Slot,
    /// \[D\]
    pub mlp_norm: Slot,
    /// \[F, D\]
    pub gate: Slot,
    /// \[F, D\]
    pub up: Slot,
    /// \[D, F\]
    pub down: Slot,
}

/// The tensors of a decoder in the order in which they lie in the buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// All tensors by name; together they cover the buffer.
    pub tensors: Vec<Tensor>,
    /// \[V, D\]
    pub embedding: Slot,
    /// One entry per block.
    pub layers: Vec<LayerSlots>,
    /// \[D\]
    pub final_norm: Slot,
    /// \[V, D\]; the embedding's own slot where the head is tied.
    pub head: Slot,
}

/// Hugging Face's name of the head.
pub(super) const HEAD: &str = "lm_head.weight";

impl Layout {
    /// The layout of a decoder with the Llama family's names.
    pub fn new(config: &DecoderConfig) -> Self {
        let mut tensors = Vec::new();
        let table = [config.vocabulary, config.width];
        let embedding = place(&mut tensors, "model.embed_tokens.weight", &table);
        let layers =
            (0..config.n_layers).map(|layer| layer_slots(&mut tensors, layer, config)).collect();
        let final_norm = place(&mut tensors, "model.norm.weight", &[config.width]);
        let head = match config.tied_head {
            true => embedding,
            false => place(&mut tensors, HEAD, &table),
        };
        Self { tensors, embedding, layers, final_norm, head }
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
}

fn layer_slots(tensors: &mut Vec<Tensor>, layer: usize, config: &DecoderConfig) -> LayerSlots {
    let (d, q, k, f) = (config.width, config.q_width(), config.kv_width(), config.mlp_width);
    let mut place = |name: &str, shape: &[usize]| {
        place(tensors, &format!("model.layers.{layer}.{name}.weight"), shape)
    };
    LayerSlots {
        attention_norm: place("input_layernorm", &[d]),
        q: place("self_attn.q_proj", &[q, d]),
        k: place("self_attn.k_proj", &[k, d]),
        v: place("self_attn.v_proj", &[k, d]),
        o: place("self_attn.o_proj", &[d, q]),
        mlp_norm: place("post_attention_layernorm", &[d]),
        gate: place("mlp.gate_proj", &[f, d]),
        up: place("mlp.up_proj", &[f, d]),
        down: place("mlp.down_proj", &[d, f]),
    }
}

/// Appends a tensor behind the last one.
fn place(tensors: &mut Vec<Tensor>, name: &str, shape: &[usize]) -> Slot {
    let start = tensors.last().map_or(0, |tensor| tensor.slot.end());
    let slot = Slot { start, len: shape.iter().product() };
    tensors.push(Tensor { name: name.into(), shape: shape.to_vec(), slot });
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tied_head: bool) -> DecoderConfig {
        DecoderConfig {
            n_layers: 4,
            width: 128,
            n_heads: 4,
            n_kv_heads: 2,
            head_width: 32,
            mlp_width: 352,
            vocabulary: 2048,
            context: 256,
            norm_epsilon: 1e-5,
            rope_theta: 1e4,
            tied_head,
            end_tokens: vec![0],
        }
    }

    /// The published size of the sentiment task's base model.
    #[test]
    fn a_tied_head_is_counted_once() {
        let (tied, untied) = (Layout::new(&config(true)), Layout::new(&config(false)));
        assert_eq!(tied.len(), 1_000_576);
        assert_eq!(untied.len(), 1_000_576 + 2048 * 128);
        assert_eq!(tied.head, tied.embedding);
    }

    #[test]
    fn tensors_cover_the_buffer_without_gap_or_overlap() {
        let layout = Layout::new(&config(false));
        let mut end = 0;
        for tensor in &layout.tensors {
            assert_eq!(tensor.slot.start, end, "{}", tensor.name);
            end = tensor.slot.end();
        }
        assert_eq!(layout.tensor_at(end - 1).map(|tensor| tensor.name.as_str()), Some(HEAD));
        assert_eq!(layout.tensor_at(end), None);
    }
}
