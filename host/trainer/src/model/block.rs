//! One block of a decoder: forward as a straight list of operations, backward as the same list reversed.
//!
//! With n₁ = norm(input) and n₂ = norm(middle): middle = input + o(attention(q(n₁), k(n₁), v(n₁))) and
//! output = middle + down(act(gate(n₂))·up(n₂)), or down(act(up(n₂))) without a gate. Some architectures normalise and
//! rotate queries and keys head by head, and normalise what is added to the stream. Shapes are in `activations`.
//!
//! Forward comes in three parts, because only the middle one knows where keys and values lie: in the batch (here), or in
//! a cache (`cache`).

use kernels::Write::{Accumulate, Overwrite};
use kernels::activation::Activation;
use kernels::{activation, attention, gated, residual, rope};

use super::activations::{GradientBuffers, LayerActivations};
use super::config::{DecoderConfig, LayerConfig};
use super::layout::LayerSlots;
use super::parts::{Linear, Norm, WeightGradients};
use super::rotations::Rotations;
use crate::batch::Packed;

/// The operations of a block and where their weights lie. D width, Q query heads, K key heads, F feed-forward.
#[derive(Debug)]
pub(super) struct Block {
    pub attention_norm: Norm,
    /// D → Q
    pub q: Linear,
    /// D → K
    pub k: Linear,
    /// D → K
    pub v: Linear,
    /// Of each query head and of each key head.
    pub head_norms: Option<HeadNorms>,
    /// Which of the decoder's rotations.
    pub rotation: Option<usize>,
    pub heads: attention::Shape,
    /// Q → D
    pub o: Linear,
    pub attention_output_norm: Option<Norm>,
    pub mlp_norm: Norm,
    /// D → F
    pub gate: Option<Linear>,
    /// D → F
    pub up: Linear,
    pub activation: Activation,
    /// F → D
    pub down: Linear,
    pub mlp_output_norm: Option<Norm>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct HeadNorms {
    pub q: Norm,
    pub k: Norm,
}

/// What all blocks of a pass read.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub weights: &'a [f32],
    pub batch: &'a Packed,
    pub rotations: &'a Rotations,
}

impl Block {
    pub(super) fn new(
        config: &DecoderConfig,
        layer: &LayerConfig,
        slots: &LayerSlots,
        rotation: Option<usize>,
    ) -> Self {
        let (d, q, k, f) = (config.width, config.q_width(), config.kv_width(), config.mlp_width);
        let linear = |slots, inputs, outputs| Linear { slots, inputs, outputs };
        let norm = |slots| Norm::new(slots, config);
        let head_norms = slots.q_norm.zip(slots.k_norm);
        Self {
            attention_norm: norm(slots.attention_norm),
            q: linear(slots.q, d, q),
            k: linear(slots.k, d, k),
            v: linear(slots.v, d, k),
            head_norms: head_norms.map(|(q, k)| HeadNorms { q: norm(q), k: norm(k) }),
            rotation,
            heads: attention::Shape {
                heads: config.n_heads,
                kv_heads: config.n_kv_heads,
                head_dim: config.head_width,
                scale: config.attention_scale,
                softcap: config.attention_softcap,
                window: layer.window,
            },
            o: linear(slots.o, q, d),
            attention_output_norm: slots.attention_output_norm.map(norm),
            mlp_norm: norm(slots.mlp_norm),
            gate: slots.gate.map(|slots| linear(slots, d, f)),
            up: linear(slots.up, d, f),
            activation: config.activation,
            down: linear(slots.down, f, d),
            mlp_output_norm: slots.mlp_output_norm.map(norm),
        }
    }

    /// output \[R, D\] from input \[R, D\]; `a` keeps what backward reads.
    pub(super) fn forward(
        &self,
        output: &mut [f32],
        input: &[f32],
        a: &mut LayerActivations,
        pass: Pass,
    ) {
        let Pass { weights, batch, rotations } = pass;
        self.project(input, a, weights, &batch.positions, rotations);
        let qkv = attention::Inputs { q: a.q, k: a.k, v: a.v };
        attention::forward(a.attended, a.lse, qkv, &batch.segments, &self.heads);
        self.finish(output, input, a, weights);
    }

    /// Queries, keys and values of the input, ready for attention.
    pub(super) fn project(
        &self,
        input: &[f32],
        a: &mut LayerActivations,
        w: &[f32],
        positions: &[u32],
        rotations: &Rotations,
    ) {
        self.attention_norm.forward(a.normed_input, &mut a.input_stats, input, w);
        self.v.forward(a.v, a.normed_input, w, Overwrite);
        match self.head_norms {
            None => {
                self.q.forward(a.q, a.normed_input, w, Overwrite);
                self.k.forward(a.k, a.normed_input, w, Overwrite);
            }
            Some(norms) => {
                self.q.forward(a.raw_q, a.normed_input, w, Overwrite);
                self.k.forward(a.raw_k, a.normed_input, w, Overwrite);
                norms.q.forward(a.q, &mut a.q_stats, a.raw_q, w);
                norms.k.forward(a.k, &mut a.k_stats, a.raw_k, w);
            }
        }
        if let Some(kind) = self.rotation {
            rope::forward(a.q, positions, rotations.table(kind));
            rope::forward(a.k, positions, rotations.table(kind));
        }
    }

    /// The output from what attention has written.
    pub(super) fn finish(
        &self,
        output: &mut [f32],
        input: &[f32],
        a: &mut LayerActivations,
        w: &[f32],
    ) {
        match self.attention_output_norm {
            None => {
                a.middle.copy_from_slice(input);
                self.o.forward(a.middle, a.attended, w, Accumulate);
            }
            Some(norm) => {
                self.o.forward(a.attention_output, a.attended, w, Overwrite);
                norm.forward(a.middle, &mut a.attention_output_stats, a.attention_output, w);
                residual::add(a.middle, input);
            }
        }
        self.mlp_norm.forward(a.normed_middle, &mut a.middle_stats, a.middle, w);
        self.up.forward(a.up, a.normed_middle, w, Overwrite);
        match self.gate {
            None => activation::forward(a.activated, a.up, self.activation),
            Some(gate) => {
                gate.forward(a.gate, a.normed_middle, w, Overwrite);
                gated::forward(a.activated, a.gate, a.up, self.activation);
            }
        }
        match self.mlp_output_norm {
            None => {
                output.copy_from_slice(a.middle);
                self.down.forward(output, a.activated, w, Accumulate);
            }
            Some(norm) => {
                self.down.forward(a.mlp_output, a.activated, w, Overwrite);
                norm.forward(output, &mut a.mlp_output_stats, a.mlp_output, w);
                residual::add(output, a.middle);
            }
        }
    }

    /// Turns `d.stream` from the gradient of the output into that of the input, and gives the block's share of `gradients`.
    pub(super) fn backward(
        &self,
        gradients: &mut WeightGradients,
        d: &mut GradientBuffers,
        input: &[f32],
        a: &LayerActivations,
        pass: Pass,
    ) {
        self.backward_mlp(gradients, d, a, pass.weights);
        self.backward_attention(gradients, d, input, a, pass);
    }

    fn backward_mlp(
        &self,
        g: &mut WeightGradients,
        d: &mut GradientBuffers,
        a: &LayerActivations,
        w: &[f32],
    ) {
        let doutput: &[f32] = match self.mlp_output_norm {
            None => d.stream,
            Some(norm) => {
                let (x, stats) = (&*a.mlp_output, &a.mlp_output_stats);
                norm.backward(d.output, g, d.stream, x, stats, w, Overwrite);
                d.output
            }
        };
        self.down.backward(d.activated, g, doutput, a.activated, w, Overwrite);
        match self.gate {
            None => {
                activation::backward(d.up, d.activated, a.up, self.activation);
                self.up.backward(d.normed, g, d.up, a.normed_middle, w, Overwrite);
            }
            Some(gate) => {
                gated::backward(d.gate, d.up, d.activated, a.gate, a.up, self.activation);
                self.up.backward(d.normed, g, d.up, a.normed_middle, w, Overwrite);
                gate.backward(d.normed, g, d.gate, a.normed_middle, w, Accumulate);
            }
        }
        let (x, stats) = (&*a.middle, &a.middle_stats);
        self.mlp_norm.backward(d.stream, g, d.normed, x, stats, w, Accumulate);
    }

    fn backward_attention(
        &self,
        g: &mut WeightGradients,
        d: &mut GradientBuffers,
        input: &[f32],
        a: &LayerActivations,
        pass: Pass,
    ) {
        let Pass { weights: w, batch, rotations } = pass;
        let doutput: &[f32] = match self.attention_output_norm {
            None => d.stream,
            Some(norm) => {
                let (x, stats) = (&*a.attention_output, &a.attention_output_stats);
                norm.backward(d.output, g, d.stream, x, stats, w, Overwrite);
                d.output
            }
        };
        self.o.backward(d.attended, g, doutput, a.attended, w, Overwrite);
        let qkv = attention::Inputs { q: a.q, k: a.k, v: a.v };
        let dqkv = attention::Gradients { dq: d.q, dk: d.k, dv: d.v };
        let attended = attention::Outputs { y: a.attended, lse: a.lse };
        attention::backward(dqkv, d.attended, attended, qkv, &batch.segments, &self.heads);
        if let Some(kind) = self.rotation {
            rope::backward(d.k, &batch.positions, rotations.table(kind));
            rope::backward(d.q, &batch.positions, rotations.table(kind));
        }
        let (dq, dk): (&[f32], &[f32]) = match self.head_norms {
            None => (d.q, d.k),
            Some(norms) => {
                norms.q.backward(d.raw_q, g, d.q, a.raw_q, &a.q_stats, w, Overwrite);
                norms.k.backward(d.raw_k, g, d.k, a.raw_k, &a.k_stats, w, Overwrite);
                (d.raw_q, d.raw_k)
            }
        };
        self.v.backward(d.normed, g, d.v, a.normed_input, w, Overwrite);
        self.k.backward(d.normed, g, dk, a.normed_input, w, Accumulate);
        self.q.backward(d.normed, g, dq, a.normed_input, w, Accumulate);
        let stats = &a.input_stats;
        self.attention_norm.backward(d.stream, g, d.normed, input, stats, w, Accumulate);
    }
}
