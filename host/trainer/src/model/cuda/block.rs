//! One block on a device: the list of `model::block`, forward and reversed, as launches.
//!
//! Forward comes in three parts, because only the middle one knows where keys and values lie: in the batch (here), or in
//! a cache (`continuation`).

use kernels::Write::{Accumulate, Overwrite};
use kernels::attention;
use kernels::cuda::{Fault, Ids, Piece, Real};
use kernels::rope::cuda::Table;
use kernels::{gated, residual, rope};

use super::activations::{Gradients as GradientBuffers, Layer};
use super::batch::Batch;
use super::parts::Context;
use super::weights::Gradients;
use crate::model::block::{Block, HeadNorms};

/// Where rows are and how they turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    pub positions: &'a Ids,
    pub rotations: &'a [Table],
}

impl Block {
    /// output \[R, D\] from input \[R, D\]; `a` keeps what backward reads.
    pub(super) fn launch_forward<R: Real>(
        &self,
        on: Context<R>,
        output: &mut Piece<R>,
        input: &Piece<R>,
        a: &mut Layer<R>,
        batch: &Batch,
        rotations: &[Table],
    ) -> Result<(), Fault> {
        self.launch_projections(on, input, a, Places { positions: &batch.positions, rotations })?;
        let (q, k, v) = (&a.q.as_view(), &a.k.as_view(), &a.v.as_view());
        let qkv = attention::cuda::Inputs { q, k, v };
        let (y, lse) = (&mut a.attended.as_view_mut(), &mut a.lse.as_view_mut());
        attention::cuda::forward(on.device, y, lse, qkv, &batch.segments, &self.heads)?;
        self.launch_rest(on, output, input, a)
    }

    /// Queries, keys and values of the input, ready for attention.
    pub(super) fn launch_projections<R: Real>(
        &self,
        on: Context<R>,
        input: &Piece<R>,
        a: &mut Layer<R>,
        places: Places,
    ) -> Result<(), Fault> {
        self.attention_norm.launch_forward(on, &mut a.normed_input, &mut a.input_stats, input)?;
        self.v.launch_forward(on, &mut a.v, &a.normed_input)?;
        match self.head_norms {
            None => {
                self.q.launch_forward(on, &mut a.q, &a.normed_input)?;
                self.k.launch_forward(on, &mut a.k, &a.normed_input)?;
            }
            Some(HeadNorms { q, k }) => {
                self.q.launch_forward(on, &mut a.raw_q, &a.normed_input)?;
                self.k.launch_forward(on, &mut a.raw_k, &a.normed_input)?;
                q.launch_forward(on, &mut a.q, &mut a.q_stats, &a.raw_q)?;
                k.launch_forward(on, &mut a.k, &mut a.k_stats, &a.raw_k)?;
            }
        }
        if let Some(kind) = self.rotation {
            let (positions, table) = (places.positions, &places.rotations[kind]);
            rope::cuda::forward(on.device, &mut a.q.as_view_mut(), positions, table)?;
            rope::cuda::forward(on.device, &mut a.k.as_view_mut(), positions, table)?;
        }
        Ok(())
    }

    /// The output from what attention has written.
    pub(super) fn launch_rest<R: Real>(
        &self,
        on: Context<R>,
        output: &mut Piece<R>,
        input: &Piece<R>,
        a: &mut Layer<R>,
    ) -> Result<(), Fault> {
        match self.attention_output_norm {
            None => self.o.launch_onto(on, &mut a.middle, input, &a.attended)?,
            Some(norm) => {
                self.o.launch_forward(on, &mut a.attention_output, &a.attended)?;
                let stats = &mut a.attention_output_stats;
                norm.launch_forward(on, &mut a.middle, stats, &a.attention_output)?;
                residual::cuda::add(on.device, &mut a.middle.as_view_mut(), &input.as_view())?;
            }
        }
        let normed = &mut a.normed_middle;
        self.mlp_norm.launch_forward(on, normed, &mut a.middle_stats, &a.middle)?;
        let x = &a.normed_middle;
        match self.gate {
            None => {
                self.up.launch_activated(on, &mut a.activated, &mut a.up, x, self.activation)?
            }
            Some(gate) => {
                self.up.launch_forward(on, &mut a.up, x)?;
                gate.launch_forward(on, &mut a.gate, x)?;
                let (activated, gate) = (&mut a.activated.as_view_mut(), &a.gate.as_view());
                gated::cuda::forward(on.device, activated, gate, &a.up.as_view(), self.activation)?;
            }
        }
        match self.mlp_output_norm {
            None => self.down.launch_onto(on, output, &a.middle, &a.activated),
            Some(norm) => {
                self.down.launch_forward(on, &mut a.mlp_output, &a.activated)?;
                norm.launch_forward(on, output, &mut a.mlp_output_stats, &a.mlp_output)?;
                residual::cuda::add(on.device, &mut output.as_view_mut(), &a.middle.as_view())
            }
        }
    }

    /// Turns `d.stream` from the gradient of the output into that of the input, and gives the block's share of the
    /// weights' gradients.
    #[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
    pub(super) fn launch_backward<R: Real>(
        &self,
        on: Context<R>,
        g: &mut Gradients,
        d: &mut GradientBuffers<R>,
        input: &Piece<R>,
        a: &Layer<R>,
        batch: &Batch,
        rotations: &[Table],
    ) -> Result<(), Fault> {
        self.launch_backward_mlp(on, g, d, a)?;
        let places = Places { positions: &batch.positions, rotations };
        self.launch_backward_attention(on, g, d, input, a, batch, places)
    }

    fn launch_backward_mlp<R: Real>(
        &self,
        on: Context<R>,
        g: &mut Gradients,
        d: &mut GradientBuffers<R>,
        a: &Layer<R>,
    ) -> Result<(), Fault> {
        let doutput = match self.mlp_output_norm {
            None => &d.stream,
            Some(norm) => {
                let (x, stats) = (&a.mlp_output, &a.mlp_output_stats);
                norm.launch_backward(on, &mut d.output, g, &d.stream, x, stats, Overwrite)?;
                &d.output
            }
        };
        let x = &a.normed_middle;
        match self.gate {
            None => {
                let (dup, room, f) = (&mut d.up, &mut d.activated, self.activation);
                let (activated, up) = (&a.activated, &a.up);
                self.down.launch_backward_activated(on, dup, room, g, doutput, activated, up, f)?;
                self.up.launch_backward(on, &mut d.normed, g, &d.up, x, Overwrite)?;
            }
            Some(gate) => {
                self.down.launch_backward(
                    on,
                    &mut d.activated,
                    g,
                    doutput,
                    &a.activated,
                    Overwrite,
                )?;
                let (dy, up, dup) =
                    (&d.activated.as_view(), &a.up.as_view(), &mut d.up.as_view_mut());
                let (dgate, gated_by) = (&mut d.gate.as_view_mut(), &a.gate.as_view());
                gated::cuda::backward(on.device, dgate, dup, dy, gated_by, up, self.activation)?;
                self.up.launch_backward(on, &mut d.normed, g, &d.up, x, Overwrite)?;
                gate.launch_backward(on, &mut d.normed, g, &d.gate, x, Accumulate)?;
            }
        }
        let (x, stats) = (&a.middle, &a.middle_stats);
        self.mlp_norm.launch_backward(on, &mut d.stream, g, &d.normed, x, stats, Accumulate)
    }

    #[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
    fn launch_backward_attention<R: Real>(
        &self,
        on: Context<R>,
        g: &mut Gradients,
        d: &mut GradientBuffers<R>,
        input: &Piece<R>,
        a: &Layer<R>,
        batch: &Batch,
        places: Places,
    ) -> Result<(), Fault> {
        let doutput = match self.attention_output_norm {
            None => &d.stream,
            Some(norm) => {
                let (x, stats) = (&a.attention_output, &a.attention_output_stats);
                norm.launch_backward(on, &mut d.output, g, &d.stream, x, stats, Overwrite)?;
                &d.output
            }
        };
        self.o.launch_backward(on, &mut d.attended, g, doutput, &a.attended, Overwrite)?;
        let (q, k, v) = (&a.q.as_view(), &a.k.as_view(), &a.v.as_view());
        let qkv = attention::cuda::Inputs { q, k, v };
        let (y, lse) = (&a.attended.as_view(), &a.lse.as_view());
        let attended = attention::cuda::Outputs { y, lse };
        let (dq, dk, dv) = (&mut d.q.as_view_mut(), &mut d.k.as_view_mut(), &mut d.v.as_view_mut());
        let dqkv = attention::cuda::Gradients { dq, dk, dv };
        let (dy, segments) = (&d.attended.as_view(), &batch.segments);
        attention::cuda::backward(on.device, dqkv, dy, attended, qkv, segments, &self.heads)?;
        if let Some(kind) = self.rotation {
            let (positions, table) = (places.positions, &places.rotations[kind]);
            rope::cuda::backward(on.device, &mut d.k.as_view_mut(), positions, table)?;
            rope::cuda::backward(on.device, &mut d.q.as_view_mut(), positions, table)?;
        }
        let (dq, dk) = match self.head_norms {
            None => (&d.q, &d.k),
            Some(HeadNorms { q, k }) => {
                q.launch_backward(on, &mut d.raw_q, g, &d.q, &a.raw_q, &a.q_stats, Overwrite)?;
                k.launch_backward(on, &mut d.raw_k, g, &d.k, &a.raw_k, &a.k_stats, Overwrite)?;
                (&d.raw_q, &d.raw_k)
            }
        };
        let x = &a.normed_input;
        self.v.launch_backward(on, &mut d.normed, g, &d.v, x, Overwrite)?;
        self.k.launch_backward(on, &mut d.normed, g, dk, x, Accumulate)?;
        self.q.launch_backward(on, &mut d.normed, g, dq, x, Accumulate)?;
        let stats = &a.input_stats;
        self.attention_norm.launch_backward(
            on,
            &mut d.stream,
            g,
            &d.normed,
            input,
            stats,
            Accumulate,
        )
    }
}
