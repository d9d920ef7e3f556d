//! The two operations with weights, each with the places of its weights in the flat buffer.
//!
//! With them a block reads as a list of calls: what is written, what is read, the buffer of weights. Shapes
//! follow from the slices. Not here: their order (`block`).

use kernels::{Write, bias, layernorm, matmul, rmsnorm};

use super::config::{DecoderConfig, NormKind};
use super::layout::{LinearSlots, NormSlots};

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

    /// dw += dyᵀ·x, db += Σ dy, and dx = or += dy·w. Shapes as in forward.
    pub(super) fn backward(
        self,
        dx: &mut [f32],
        gradients: &mut [f32],
        dy: &[f32],
        x: &[f32],
        weights: &[f32],
        write: Write,
    ) {
        let w = self.slots.weight;
        matmul::backward_weight(w.of_mut(gradients), dy, x, self.shape(x));
        if let Some(b) = self.slots.bias {
            bias::backward(b.of_mut(gradients), dy);
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
    slots: NormSlots,
    kind: NormKind,
    epsilon: f32,
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

    /// dw and db += and dx = or += the gradients for dy. Shapes as in forward.
    #[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
    pub(super) fn backward(
        self,
        dx: &mut [f32],
        gradients: &mut [f32],
        dy: &[f32],
        x: &[f32],
        stats: &Statistics,
        weights: &[f32],
        write: Write,
    ) {
        let w = self.slots.weight.of(weights);
        match (self.kind, self.slots.bias) {
            (NormKind::Layer, Some(b)) => {
                let both = [self.slots.weight.range(), b.range()];
                let [dw, db] = gradients.get_disjoint_mut(both).expect("tensors do not overlap");
                layernorm::backward(dx, dw, db, dy, x, stats.mean, stats.rstd, w, write);
            }
            (NormKind::Rms { offset }, None) => {
                let dw = self.slots.weight.of_mut(gradients);
                rmsnorm::backward(dx, dw, dy, x, w, stats.rstd, offset, write);
            }
            other => unreachable!("a layout gives LayerNorm a bias and RMSNorm none: {other:?}"),
        }
    }
}
