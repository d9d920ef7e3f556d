//! One block of a decoder: forward as a straight list of operations, backward as the same list reversed.
//!
//! With n₁ = norm(input) and n₂ = norm(middle):
//! middle = input + o(attention(rotated q(n₁), rotated k(n₁), v(n₁))) and
//! output = middle + down(silu(gate(n₂))·up(n₂)).
//! Shapes are in `activations`. Not here: one token per sequence with a cache (`cache`).

use kernels::Write::{Accumulate, Overwrite};
use kernels::activation::Activation;
use kernels::{attention, gated, rope};

use super::activations::{GradientBuffers, LayerActivations};
use super::config::DecoderConfig;
use super::layout::LayerSlots;
use super::parts::{Linear, Norm};
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
    pub heads: attention::Shape,
    /// Q → D
    pub o: Linear,
    pub mlp_norm: Norm,
    /// D → F
    pub gate: Linear,
    /// D → F
    pub up: Linear,
    /// F → D
    pub down: Linear,
}

/// What all blocks of a pass read.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub weights: &'a [f32],
    pub batch: &'a Packed,
    pub rotations: &'a rope::Table,
}

impl Block {
    pub(super) fn new(config: &DecoderConfig, slots: &LayerSlots) -> Self {
        let (d, q, k, f) = (config.width, config.q_width(), config.kv_width(), config.mlp_width);
        let linear = |slot, inputs, outputs| Linear { slot, inputs, outputs };
        let norm = |slot| Norm { slot, epsilon: config.norm_epsilon };
        Self {
            attention_norm: norm(slots.attention_norm),
            q: linear(slots.q, d, q),
            k: linear(slots.k, d, k),
            v: linear(slots.v, d, k),
            heads: heads(config),
            o: linear(slots.o, q, d),
            mlp_norm: norm(slots.mlp_norm),
            gate: linear(slots.gate, d, f),
            up: linear(slots.up, d, f),
            down: linear(slots.down, f, d),
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
        self.attention_norm.forward(&mut a.normed_input, &mut a.input_rstd, input, weights);
        self.q.forward(&mut a.q, &a.normed_input, weights, Overwrite);
        self.k.forward(&mut a.k, &a.normed_input, weights, Overwrite);
        self.v.forward(&mut a.v, &a.normed_input, weights, Overwrite);
        rope::forward(&mut a.q, &batch.positions, rotations);
        rope::forward(&mut a.k, &batch.positions, rotations);
        let qkv = attention::Inputs { q: &a.q, k: &a.k, v: &a.v };
        attention::forward(&mut a.attended, &mut a.lse, qkv, &batch.segments, &self.heads);
        a.middle.copy_from_slice(input);
        self.o.forward(&mut a.middle, &a.attended, weights, Accumulate);

        self.mlp_norm.forward(&mut a.normed_middle, &mut a.middle_rstd, &a.middle, weights);
        self.gate.forward(&mut a.gate, &a.normed_middle, weights, Overwrite);
        self.up.forward(&mut a.up, &a.normed_middle, weights, Overwrite);
        gated::forward(&mut a.gated, &a.gate, &a.up, Activation::Silu);
        output.copy_from_slice(&a.middle);
        self.down.forward(output, &a.gated, weights, Accumulate);
    }

    /// Turns `d.stream` from the gradient of the output into that of the input, and adds to `gradients`.
    pub(super) fn backward(
        &self,
        gradients: &mut [f32],
        d: &mut GradientBuffers,
        input: &[f32],
        a: &LayerActivations,
        pass: Pass,
    ) {
        let Pass { weights: w, batch, rotations } = pass;
        let g = gradients;
        self.down.backward(&mut d.gated, g, &d.stream, &a.gated, w, Overwrite);
        gated::backward(&mut d.gate, &mut d.up, &d.gated, &a.gate, &a.up, Activation::Silu);
        self.up.backward(&mut d.normed, g, &d.up, &a.normed_middle, w, Overwrite);
        self.gate.backward(&mut d.normed, g, &d.gate, &a.normed_middle, w, Accumulate);
        let (x, rstd) = (&a.middle, &a.middle_rstd);
        self.mlp_norm.backward(&mut d.stream, g, &d.normed, x, rstd, w, Accumulate);

        self.o.backward(&mut d.attended, g, &d.stream, &a.attended, w, Overwrite);
        let qkv = attention::Inputs { q: &a.q, k: &a.k, v: &a.v };
        let dqkv = attention::Gradients { dq: &mut d.q, dk: &mut d.k, dv: &mut d.v };
        let attended = attention::Outputs { y: &a.attended, lse: &a.lse };
        attention::backward(dqkv, &d.attended, attended, qkv, &batch.segments, &self.heads);
        rope::backward(&mut d.k, &batch.positions, rotations);
        rope::backward(&mut d.q, &batch.positions, rotations);
        self.v.backward(&mut d.normed, g, &d.v, &a.normed_input, w, Overwrite);
        self.k.backward(&mut d.normed, g, &d.k, &a.normed_input, w, Accumulate);
        self.q.backward(&mut d.normed, g, &d.q, &a.normed_input, w, Accumulate);
        let rstd = &a.input_rstd;
        self.attention_norm.backward(&mut d.stream, g, &d.normed, input, rstd, w, Accumulate);
    }
}

/// The heads, with the usual scale head_width^-½.
fn heads(config: &DecoderConfig) -> attention::Shape {
    attention::Shape {
        heads: config.n_heads,
        kv_heads: config.n_kv_heads,
        head_dim: config.head_width,
        scale: (1.0 / (config.head_width as f64).sqrt()) as f32,
        softcap: None,
        window: None,
    }
}
