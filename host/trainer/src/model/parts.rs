//! The two operations with weights, each with the place of its weights in the flat buffer.
//!
//! With them a block reads as a list of calls: what is written, what is read, the buffer of weights. Shapes
//! follow from the slices. Not here: their order (`block`, `cache`).

use kernels::{Write, matmul, rmsnorm};

use super::layout::Slot;

/// y = x·wᵀ with w \[outputs, inputs\].
#[derive(Debug, Clone, Copy)]
pub(super) struct Linear {
    pub slot: Slot,
    pub inputs: usize,
    pub outputs: usize,
}

impl Linear {
    /// y = or += x·wᵀ. Shapes: y \[R, outputs\], x \[R, inputs\].
    pub(super) fn forward(self, y: &mut [f32], x: &[f32], weights: &[f32], write: Write) {
        matmul::forward(y, x, self.slot.of(weights), self.shape(x), write);
    }

    /// dw += dyᵀ·x, and dx = or += dy·w. Shapes as in forward.
    pub(super) fn backward(
        self,
        dx: &mut [f32],
        gradients: &mut [f32],
        dy: &[f32],
        x: &[f32],
        weights: &[f32],
        write: Write,
    ) {
        matmul::backward_weight(self.slot.of_mut(gradients), dy, x, self.shape(x));
        matmul::backward_input(dx, dy, self.slot.of(weights), self.shape(x), write);
    }

    fn shape(self, x: &[f32]) -> matmul::Shape {
        let Self { inputs, outputs, .. } = self;
        matmul::Shape { rows: x.len() / inputs, inputs, outputs }
    }
}

/// RMSNorm with a weight per column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm {
    pub slot: Slot,
    pub epsilon: f32,
}

impl Norm {
    /// y = norm(x), and rstd for backward. Shapes: y and x \[R, D\], rstd \[R\].
    pub(super) fn forward(self, y: &mut [f32], rstd: &mut [f32], x: &[f32], weights: &[f32]) {
        rmsnorm::forward(y, rstd, x, self.slot.of(weights), self.epsilon, 0.0);
    }

    /// dw += and dx = or += the gradients for dy. Shapes as in forward.
    #[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
    pub(super) fn backward(
        self,
        dx: &mut [f32],
        gradients: &mut [f32],
        dy: &[f32],
        x: &[f32],
        rstd: &[f32],
        weights: &[f32],
        write: Write,
    ) {
        let (w, dw) = (self.slot.of(weights), self.slot.of_mut(gradients));
        rmsnorm::backward(dx, dw, dy, x, w, rstd, 0.0, write);
    }
}
