//! The two operations with weights, on a device: `model::parts` with launches for calls.

use kernels::Write;
use kernels::cuda::{Device, Fault, Piece, Real, View, ViewMut};
use kernels::{bias, layernorm, matmul, rmsnorm};

use super::activations::Statistics;
use super::weights::{Gradients, Weights};
use crate::model::config::NormKind;
use crate::model::parts::{Linear, Norm};

/// What every operation of a pass needs beside its own numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a, R> {
    pub device: &'a Device,
    pub weights: &'a Weights<R>,
}

impl Linear {
    /// y = x·wᵀ, without a bias. Shapes: y \[R, outputs\], x \[R, inputs\].
    pub(super) fn launch_product<R: Real, Y: Real>(
        self,
        on: Context<R>,
        y: &mut ViewMut<Y>,
        x: &View<R>,
    ) -> Result<(), Fault> {
        let (w, shape) = (on.weights.of(self.slots.weight), self.launch_shape(x.len()));
        matmul::cuda::forward::<R, Y>(on.device, y, x, &w, shape, Write::Overwrite)
    }

    /// y = x·wᵀ + b.
    pub(super) fn launch_forward<R: Real>(
        self,
        on: Context<R>,
        y: &mut Piece<R>,
        x: &Piece<R>,
    ) -> Result<(), Fault> {
        let mut y = y.as_view_mut();
        self.launch_product(on, &mut y, &x.as_view())?;
        self.add_bias(on, &mut y)
    }

    /// y = base + x·wᵀ + b: the end of a branch with the residual connection.
    pub(super) fn launch_onto<R: Real>(
        self,
        on: Context<R>,
        y: &mut Piece<R>,
        base: &Piece<R>,
        x: &Piece<R>,
    ) -> Result<(), Fault> {
        let (w, shape) = (on.weights.of(self.slots.weight), self.launch_shape(x.len()));
        let mut y = y.as_view_mut();
        let (base, x) = (base.as_view(), x.as_view());
        matmul::cuda::forward_onto(on.device, &mut y, &base, &x, &w, shape)?;
        self.add_bias(on, &mut y)
    }

    fn add_bias<R: Real>(self, on: Context<R>, y: &mut ViewMut<R>) -> Result<(), Fault> {
        match self.slots.bias {
            None => Ok(()),
            Some(b) => bias::cuda::forward(on.device, y, &on.weights.of(b)),
        }
    }

    /// dw += dyᵀ·x, db += Σ dy, and dx = or += dy·w. Shapes as in forward.
    pub(super) fn launch_backward<R: Real>(
        self,
        on: Context<R>,
        dx: &mut Piece<R>,
        gradients: &mut Gradients,
        dy: &Piece<R>,
        x: &Piece<R>,
        write: Write,
    ) -> Result<(), Fault> {
        let (w, shape) = (self.slots.weight, self.launch_shape(x.len()));
        let (dy, x) = (dy.as_view(), x.as_view());
        matmul::cuda::backward_weight(on.device, &mut gradients.of(w), &dy, &x, shape)?;
        if let Some(b) = self.slots.bias {
            bias::cuda::backward(on.device, &mut gradients.of(b), &dy)?;
        }
        let mut dx = dx.as_view_mut();
        matmul::cuda::backward_input(on.device, &mut dx, &dy, &on.weights.of(w), shape, write)
    }

    fn launch_shape(self, len: usize) -> matmul::Shape {
        let Self { inputs, outputs, .. } = self;
        matmul::Shape { rows: len / inputs, inputs, outputs }
    }
}

impl Norm {
    /// y = norm(x), and its statistics. Shapes: y and x \[R, width\], statistics \[R\].
    pub(super) fn launch_forward<R: Real>(
        self,
        on: Context<R>,
        y: &mut Piece<R>,
        stats: &mut Statistics,
        x: &Piece<R>,
    ) -> Result<(), Fault> {
        let (w, mut y, x) = (on.weights.of(self.slots.weight), y.as_view_mut(), x.as_view());
        let rstd = &mut stats.rstd.as_view_mut();
        match (self.kind, self.slots.bias) {
            (NormKind::Layer, Some(b)) => {
                let mean = &mut stats.mean.as_view_mut();
                let stats = layernorm::cuda::Statistics { mean, rstd };
                let b = on.weights.of(b);
                layernorm::cuda::forward(on.device, &mut y, stats, &x, &w, &b, self.epsilon)
            }
            (NormKind::Rms { offset }, None) => {
                let settings = rmsnorm::cuda::Settings { epsilon: self.epsilon, offset };
                rmsnorm::cuda::forward(on.device, &mut y, rstd, &x, &w, settings)
            }
            other => unreachable!("a layout gives LayerNorm a bias and RMSNorm none: {other:?}"),
        }
    }

    /// dw and db += the gradients for dy, dx = or += its own. Shapes as in forward.
    #[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
    pub(super) fn launch_backward<R: Real>(
        self,
        on: Context<R>,
        dx: &mut Piece<R>,
        gradients: &mut Gradients,
        dy: &Piece<R>,
        x: &Piece<R>,
        stats: &Statistics,
        write: Write,
    ) -> Result<(), Fault> {
        let (device, weight) = (on.device, self.slots.weight);
        let (w, mut dx, dy, x) =
            (on.weights.of(weight), dx.as_view_mut(), dy.as_view(), x.as_view());
        let (mean, rstd) = (stats.mean.as_view(), stats.rstd.as_view());
        match (self.kind, self.slots.bias) {
            (NormKind::Layer, Some(bias)) => {
                // A layout has the bias behind the weight.
                let (mut before, mut from_bias) = gradients.buffer.split_at_mut(bias.start);
                let mut dw = before.slice_mut(weight.range());
                let mut db = from_bias.slice_mut(0..bias.len);
                let (dw, db) = (&mut dw, &mut db);
                layernorm::cuda::backward(device, &mut dx, dw, db, &dy, &x, &mean, &rstd, &w, write)
            }
            (NormKind::Rms { offset }, None) => {
                let dw = &mut gradients.of(weight);
                rmsnorm::cuda::backward(device, &mut dx, dw, &dy, &x, &w, &rstd, offset, write)
            }
            other => unreachable!("a layout gives LayerNorm a bias and RMSNorm none: {other:?}"),
        }
    }
}
