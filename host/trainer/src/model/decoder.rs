//! From tokens to the log-probs of completion tokens, and the way back to the gradients of all weights.
//!
//! R rows, N targets, D width, V vocabulary. Embedding, blocks, a last norm, and the head on the rows that
//! predict a completion token. Nothing here samples or knows what the log-probs are for. Sampling with a
//! cache: `cache`.

use kernels::{Write, embedding, logprob, rope};

use super::activations::Activations;
use super::block::{Block, Pass};
use super::config::DecoderConfig;
use super::layout::Layout;
use super::parts::{Linear, Norm};
use crate::batch::Packed;

/// An architecture: what it looks like and where its weights lie. It holds no weights.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    layout: Layout,
    pub(super) rotations: rope::Table,
    pub(super) blocks: Vec<Block>,
    pub(super) final_norm: Norm,
    pub(super) head: Linear,
}

impl Decoder {
    /// The decoder that a configuration describes.
    pub fn new(config: DecoderConfig) -> Self {
        let exponent = |pair: usize| -2.0 * pair as f64 / config.head_width as f64;
        let frequency = |pair: usize| config.rope_theta.powf(exponent(pair));
        let frequencies: Vec<f64> = (0..config.head_width / 2).map(frequency).collect();
        Self::with_frequencies(config, &frequencies)
    }

    /// The same with other rotary frequencies, in radians per position, one per pair of a head.
    pub fn with_frequencies(config: DecoderConfig, frequencies: &[f64]) -> Self {
        let layout = Layout::new(&config);
        let rotations = rope::Table::from_frequencies(config.context, frequencies);
        let blocks = layout.layers.iter().map(|slots| Block::new(&config, slots)).collect();
        let final_norm = Norm { slot: layout.final_norm, epsilon: config.norm_epsilon };
        let head = Linear { slot: layout.head, inputs: config.width, outputs: config.vocabulary };
        Self { config, layout, rotations, blocks, final_norm, head }
    }

    /// What the architecture looks like.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Where each tensor lies in a buffer of weights or gradients.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The log-prob of every completion token of the batch, into `a.token_logps`.
    pub fn forward(&self, weights: &[f32], batch: &Packed, a: &mut Activations) {
        self.hidden(weights, batch, a);
        let (rows, width) = (&batch.predicting_rows, self.config.width);
        embedding::forward(&mut a.predicting, &a.hidden, rows, width, Write::Overwrite);
        let inputs = self.head_inputs(&a.predicting, weights, batch);
        let shape = self.head_shape(batch);
        let kept = Some(&mut a.logits);
        logprob::forward(&mut a.token_logps, &mut a.logits_lse, kept, inputs, shape);
    }

    /// The normalised stream after the last block, into `a.hidden`; `a` also keeps each block's keys and values.
    pub(super) fn hidden(&self, weights: &[f32], batch: &Packed, a: &mut Activations) {
        a.fit_forward(&self.config, batch);
        let (table, width) = (self.layout.embedding.of(weights), self.config.width);
        embedding::forward(&mut a.streams[0], table, &batch.tokens, width, Write::Overwrite);
        for (index, block) in self.blocks.iter().enumerate() {
            let (before, after) = a.streams.split_at_mut(index + 1);
            let (input, output) = (&before[index], &mut after[0]);
            block.forward(output, input, &mut a.layers[index], self.pass(weights, batch));
        }
        let last = &a.streams[self.blocks.len()];
        self.final_norm.forward(&mut a.hidden, &mut a.final_rstd, last, weights);
    }

    /// Adds d(Σ dlogps·logps)/d(weights) to `gradients`. `a` is what forward left for the same weights and batch.
    pub fn backward(
        &self,
        gradients: &mut [f32],
        weights: &[f32],
        batch: &Packed,
        a: &mut Activations,
        dlogps: &[f32],
    ) {
        a.fit_backward(&self.config, batch);
        let (d, width) = (&mut a.gradients, self.config.width);
        let inputs = self.head_inputs(&a.predicting, weights, batch);
        let (dhead, shape) = (self.layout.head.of_mut(gradients), self.head_shape(batch));
        let (dpredicting, lse) = (&mut d.predicting, &a.logits_lse);
        logprob::backward(dpredicting, dhead, dlogps, lse, &mut a.logits, inputs, shape);
        d.hidden.fill(0.0);
        embedding::backward(&mut d.hidden, &d.predicting, &batch.predicting_rows, width);

        let (last, rstd) = (&a.streams[self.blocks.len()], &a.final_rstd);
        let (stream, overwrite) = (&mut d.stream, Write::Overwrite);
        self.final_norm.backward(stream, gradients, &d.hidden, last, rstd, weights, overwrite);
        for (index, block) in self.blocks.iter().enumerate().rev() {
            let (input, pass) = (&a.streams[index], self.pass(weights, batch));
            block.backward(gradients, d, input, &a.layers[index], pass);
        }
        let dtable = self.layout.embedding.of_mut(gradients);
        embedding::backward(dtable, &d.stream, &batch.tokens, width);
    }

    fn pass<'a>(&'a self, weights: &'a [f32], batch: &'a Packed) -> Pass<'a> {
        Pass { weights, batch, rotations: &self.rotations }
    }

    fn head_inputs<'a>(
        &self,
        predicting: &'a [f32],
        weights: &'a [f32],
        batch: &'a Packed,
    ) -> logprob::Inputs<'a> {
        let head = self.layout.head.of(weights);
        logprob::Inputs { hidden: predicting, head, targets: &batch.targets }
    }

    fn head_shape(&self, batch: &Packed) -> logprob::Shape {
        let DecoderConfig { width, vocabulary, .. } = self.config;
        logprob::Shape { rows: batch.targets.len(), width, vocabulary, softcap: None }
    }
}
