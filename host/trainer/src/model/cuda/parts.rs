//! The two operations with weights, on a device: `model::parts` with launches for calls.

use kernels::Write;
use kernels::activation::{self, Activation};
use kernels::cuda::{Device, Fault, Piece, Real, View, ViewMut};
use kernels::{layernorm, matmul, rmsnorm};

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
        self.launch_adding(on, y, None, x)
    }

    /// y = base + x·wᵀ + b: the end of a branch with the residual connection.
    pub(super) fn launch_onto<R: Real>(
        self,
        on: Context<R>,
        y: &mut Piece<R>,
        base: &Piece<R>,
        x: &Piece<R>,
    ) -> Result<(), Fault> {
        self.launch_adding(on, y, Some(&base.as_view()), x)
    }

    fn launch_adding<R: Real>(
        self,
        on: Context<R>,
        y: &mut Piece<R>,
        base: Option<&View<R>>,
        x: &Piece<R>,
    ) -> Result<(), Fault> {
        let (w, shape) = (on.weights.of(self.slots.weight), self.launch_shape(x.len()));
        let b = self.slots.bias.map(|slot| on.weights.of(slot));
        let added = matmul::cuda::Added { base, bias: b.as_ref() };
        matmul::cuda::forward_adding(
            on.device,
            &mut y.as_view_mut(),
            &x.as_view(),
            &w,
            added,
            shape,
        )
    }

    /// sums = x·wᵀ + b, and y = f(sums).
    pub(super) fn launch_activated<R: Real>(
        self,
        on: Context<R>,
        y: &mut Piece<R>,
        sums: &mut Piece<R>,
        x: &Piece<R>,
        f: Activation,
    ) -> Result<(), Fault> {
        if f != Activation::GeluTanh {
            self.launch_forward(on, sums, x)?;
            return activation::cuda::forward(on.device, &mut y.as_view_mut(), &sums.as_view(), f);
        }
        let (w, shape) = (on.weights.of(self.slots.weight), self.launch_shape(x.len()));
        let b = self.slots.bias.map(|slot| on.weights.of(slot));
        let (y, sums) = (&mut y.as_view_mut(), &mut sums.as_view_mut());
        matmul::cuda::forward_gelu(on.device, y, sums, &x.as_view(), &w, b.as_ref(), shape)
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
        self.launch_backward_weights(on, gradients, dy, x)?;
        let (w, shape) = (on.weights.of(self.slots.weight), self.launch_shape(x.len()));
        let dx = &mut dx.as_view_mut();
        matmul::cuda::backward_input(on.device, dx, &dy.as_view(), &w, shape, write)
    }

    /// dw += dyᵀ·x, db += Σ dy, and dsums = dy·w ⊙ f′(sums), where x = f(sums). `dx` is room for dy·w.
    #[expect(clippy::too_many_arguments, reason = "both functions', and a gradient of each")]
    pub(super) fn launch_backward_activated<R: Real>(
        self,
        on: Context<R>,
        dsums: &mut Piece<R>,
        dx: &mut Piece<R>,
        gradients: &mut Gradients,
        dy: &Piece<R>,
        x: &Piece<R>,
        sums: &Piece<R>,
        f: Activation,
    ) -> Result<(), Fault> {
        if f != Activation::GeluTanh {
            self.launch_backward(on, dx, gradients, dy, x, Write::Overwrite)?;
            let (dx, sums) = (&dx.as_view(), &sums.as_view());
            return activation::cuda::backward(on.device, &mut dsums.as_view_mut(), dx, sums, f);
        }
        self.launch_backward_weights(on, gradients, dy, x)?;
        let (w, shape) = (on.weights.of(self.slots.weight), self.launch_shape(x.len()));
        let (dsums, dy, sums) = (&mut dsums.as_view_mut(), &dy.as_view(), &sums.as_view());
        matmul::cuda::backward_gelu(on.device, dsums, dy, &w, sums, shape)
    }

    fn launch_backward_weights<R: Real>(
        self,
        on: Context<R>,
        gradients: &mut Gradients,
        dy: &Piece<R>,
        x: &Piece<R>,
    ) -> Result<(), Fault> {
        let (weight, shape) = (self.slots.weight, self.launch_shape(x.len()));
        let (dy, x) = (&dy.as_view(), &x.as_view());
        let Some(bias) = self.slots.bias else {
            let dw = &mut gradients.of(weight);
            return matmul::cuda::backward_weight(on.device, dw, None, dy, x, shape);
        };
        gradients.with_both(weight, bias, |dw, db| {
            matmul::cuda::backward_weight(on.device, dw, Some(db), dy, x, shape)
        })
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
                let dx = &mut dx;
                gradients.with_both(weight, bias, |dw, db| {
                    layernorm::cuda::backward(device, dx, dw, db, &dy, &x, &mean, &rstd, &w, write)
                })
            }
            (NormKind::Rms { offset }, None) => {
                let dw = &mut gradients.of(weight);
                rmsnorm::cuda::backward(device, &mut dx, dw, &dy, &x, &w, &rstd, offset, write)
            }
            other => unreachable!("a layout gives LayerNorm a bias and RMSNorm none: {other:?}"),
        }
    }
}
