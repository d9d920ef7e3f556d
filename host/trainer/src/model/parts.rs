//! The two operations with weights, and what they share, each with the places of its weights in the flat buffer.
//!
//! With them a block reads as a list of calls: what is written, what is read, the buffer of weights. Shapes
//! follow from the slices. Not here: their order (`block`).

use kernels::{Write, bias, layernorm, matmul, rmsnorm};

use super::config::{DecoderConfig, NormKind};
use super::layout::{LinearSlots, NormSlots, Slot};

/// Where gradients of weights go.
#[derive(Debug)]
pub(super) struct WeightGradients<'a> {
    /// The flat buffer.
    pub buffer: &'a mut [f32],
    /// Whether this pass is the first that writes there.
    pub write: Write,
}

impl WeightGradients<'_> {
    /// The gradient of one tensor.
    pub(super) fn of(&mut self, slot: Slot) -> &mut [f32] {
        slot.of_mut(self.buffer)
    }
}

/// y = x·wᵀ + b with w \[outputs, inputs\] and b \[outputs\], if there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linear {
    pub slots: LinearSlots,
    pub inputs: usize,
    pub outputs: usize,
}

impl Linear {
    /// y = or += x·wᵀ + b. Shapes: y \[R, outputs\], x \[R, inputs\].
    pub(super) fn forward(self, y: &mut [f32], x: &[f32], weights: &[f32], write: Write) {
        matmul::forward(y, x, self.slots.weight.of(weights), self.shape(x), write);
        if let Some(b) = self.slots.bias {
            bias::forward(y, b.of(weights));
        }
    }

    /// dw = or += dyᵀ·x, db = or += Σ dy, and dx = or += dy·w. Shapes as in forward.
    pub(super) fn backward(
        self,
        dx: &mut [f32],
        gradients: &mut WeightGradients,
        dy: &[f32],
        x: &[f32],
        weights: &[f32],
        write: Write,
    ) {
        let (w, write_weight) = (self.slots.weight, gradients.write);
        matmul::backward_weight(gradients.of(w), dy, x, self.shape(x), write_weight);
        if let Some(b) = self.slots.bias {
            bias::backward(gradients.of(b), dy, write_weight);
        }
        matmul::backward_input(dx, dy, w.of(weights), self.shape(x), write);
    }

    fn shape(self, x: &[f32]) -> matmul::Shape {
        let Self { inputs, outputs, .. } = self;
        matmul::Shape { rows: x.len() / inputs, inputs, outputs }
    }
}

/// LayerNorm or RMSNorm over rows of the width of its weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm {
    pub slots: NormSlots,
    pub kind: NormKind,
    pub epsilon: f32,
}

/// What a norm knows about each row after forward. `mean` is empty for RMSNorm.
#[derive(Debug)]
pub(super) struct Statistics<'a> {
    pub mean: &'a mut [f32],
    pub rstd: &'a mut [f32],
}

impl Norm {
    pub(super) fn new(slots: NormSlots, config: &DecoderConfig) -> Self {
        Self { slots, kind: config.norm, epsilon: config.norm_epsilon }
    }

    /// y = norm(x), and its statistics. Shapes: y and x \[R, width\], statistics \[R\].
    pub(super) fn forward(self, y: &mut [f32], stats: &mut Statistics, x: &[f32], weights: &[f32]) {
        let w = self.slots.weight.of(weights);
        match (self.kind, self.slots.bias) {
            (NormKind::Layer, Some(b)) => {
                let b = b.of(weights);
                layernorm::forward(y, stats.mean, stats.rstd, x, w, b, self.epsilon);
            }
            (NormKind::Rms { offset }, None) => {
                rmsnorm::forward(y, stats.rstd, x, w, self.epsilon, offset);
            }
            other => unreachable!("a layout gives LayerNorm a bias and RMSNorm none: {other:?}"),
        }
    }

    /// dw, db and dx = or += the gradients for dy. Shapes as in forward.
    #[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
    pub(super) fn backward(
        self,
        dx: &mut [f32],
        gradients: &mut WeightGradients,
        dy: &[f32],
        x: &[f32],
        stats: &Statistics,
        weights: &[f32],
        write: Write,
    ) {
        let (w, write_weight) = (self.slots.weight.of(weights), gradients.write);
        match (self.kind, self.slots.bias) {
            (NormKind::Layer, Some(b)) => {
                let both = [self.slots.weight.range(), b.range()];
                let dwdb = gradients.buffer.get_disjoint_mut(both);
                let [dw, db] = dwdb.expect("tensors do not overlap");
                let Statistics { mean, rstd } = stats;
                layernorm::backward(dx, dw, db, dy, x, mean, rstd, w, write, write_weight);
            }
            (NormKind::Rms { offset }, None) => {
                let dw = gradients.of(self.slots.weight);
                rmsnorm::backward(dx, dw, dy, x, w, stats.rstd, offset, write, write_weight);
            }
            other => unreachable!("a layout gives LayerNorm a bias and RMSNorm none: {other:?}"),
        }
    }
}
