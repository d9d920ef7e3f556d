//! The buffers of one pass over a batch: what forward writes and backward reads, and backward's own.
//!
//! Buffers are sized for the batch at hand and keep their memory, so training steps of similar size allocate
//! nothing here. R rows, N targets, D width, Q all query heads, K all key heads, H heads, F feed-forward.

use super::config::DecoderConfig;
use crate::batch::Packed;

/// What a pass over a batch leaves behind.
#[derive(Debug, Default)]
pub struct Activations {
    /// The residual stream before each block, and after the last: L + 1 times \[R, D\].
    pub streams: Vec<Vec<f32>>,
    /// Each block's own.
    pub layers: Vec<LayerActivations>,
    /// \[R\]
    pub(super) final_rstd: Vec<f32>,
    /// The normalised stream after the last block, \[R, D\].
    pub hidden: Vec<f32>,
    /// The hidden rows that predict a completion token, \[N, D\].
    pub(super) predicting: Vec<f32>,
    /// \[N\]
    pub(super) logits_lse: Vec<f32>,
    /// The logits that predict them, for backward, if they fit.
    pub(super) logits: Vec<f32>,
    /// The log-prob of each completion token, \[N\].
    pub token_logps: Vec<f32>,
    pub(super) gradients: GradientBuffers,
}

/// What one block computes on the way.
#[derive(Debug, Default)]
pub struct LayerActivations {
    /// \[R\]
    pub(super) input_rstd: Vec<f32>,
    /// \[R, D\]
    pub(super) normed_input: Vec<f32>,
    /// \[R, Q\], rotated
    pub(super) q: Vec<f32>,
    /// \[R, K\], rotated
    pub(super) k: Vec<f32>,
    /// \[R, K\]
    pub(super) v: Vec<f32>,
    /// \[R, Q\]
    pub(super) attended: Vec<f32>,
    /// \[R, H\]
    pub(super) lse: Vec<f32>,
    /// The stream between attention and feed-forward, \[R, D\].
    pub(super) middle: Vec<f32>,
    /// \[R\]
    pub(super) middle_rstd: Vec<f32>,
    /// \[R, D\]
    pub(super) normed_middle: Vec<f32>,
    /// \[R, F\]
    pub(super) gate: Vec<f32>,
    /// \[R, F\]
    pub(super) up: Vec<f32>,
    /// \[R, F\]
    pub(super) gated: Vec<f32>,
}

/// Gradients on the way back, shared by all blocks.
#[derive(Debug, Default)]
pub(super) struct GradientBuffers {
    /// \[N, D\]
    pub predicting: Vec<f32>,
    /// \[R, D\]
    pub hidden: Vec<f32>,
    /// \[R, D\]
    pub stream: Vec<f32>,
    /// \[R, D\]
    pub normed: Vec<f32>,
    /// \[R, Q\]
    pub q: Vec<f32>,
    /// \[R, K\]
    pub k: Vec<f32>,
    /// \[R, K\]
    pub v: Vec<f32>,
    /// \[R, Q\]
    pub attended: Vec<f32>,
    /// \[R, F\]
    pub gate: Vec<f32>,
    /// \[R, F\]
    pub up: Vec<f32>,
    /// \[R, F\]
    pub gated: Vec<f32>,
}

impl Activations {
    /// Sizes what forward writes.
    pub(super) fn fit_forward(&mut self, config: &DecoderConfig, batch: &Packed) {
        let (rows, n_targets) = (batch.rows(), batch.targets.len());
        self.streams.resize_with(config.n_layers + 1, Vec::new);
        self.layers.resize_with(config.n_layers, LayerActivations::default);
        self.streams.iter_mut().for_each(|stream| fit(stream, rows * config.width));
        self.layers.iter_mut().for_each(|layer| layer.fit(config, rows));
        fit(&mut self.final_rstd, rows);
        fit(&mut self.hidden, rows * config.width);
        fit(&mut self.predicting, n_targets * config.width);
        fit(&mut self.logits_lse, n_targets);
        fit(&mut self.token_logps, n_targets);
    }

    /// Sizes what only backward writes.
    pub(super) fn fit_backward(&mut self, config: &DecoderConfig, batch: &Packed) {
        let rows = batch.rows();
        let gradients = &mut self.gradients;
        fit(&mut gradients.predicting, batch.targets.len() * config.width);
        for buffer in [&mut gradients.hidden, &mut gradients.stream, &mut gradients.normed] {
            fit(buffer, rows * config.width);
        }
        for buffer in [&mut gradients.q, &mut gradients.attended] {
            fit(buffer, rows * config.q_width());
        }
        for buffer in [&mut gradients.k, &mut gradients.v] {
            fit(buffer, rows * config.kv_width());
        }
        for buffer in [&mut gradients.gate, &mut gradients.up, &mut gradients.gated] {
            fit(buffer, rows * config.mlp_width);
        }
    }
}

impl LayerActivations {
    fn fit(&mut self, config: &DecoderConfig, rows: usize) {
        for buffer in [&mut self.input_rstd, &mut self.middle_rstd] {
            fit(buffer, rows);
        }
        for buffer in [&mut self.normed_input, &mut self.middle, &mut self.normed_middle] {
            fit(buffer, rows * config.width);
        }
        for buffer in [&mut self.q, &mut self.attended] {
            fit(buffer, rows * config.q_width());
        }
        for buffer in [&mut self.k, &mut self.v] {
            fit(buffer, rows * config.kv_width());
        }
        for buffer in [&mut self.gate, &mut self.up, &mut self.gated] {
            fit(buffer, rows * config.mlp_width);
        }
        fit(&mut self.lse, rows * config.n_heads);
    }
}

/// Gives a buffer its length; its content is for the next operation to overwrite.
pub(super) fn fit(buffer: &mut Vec<f32>, len: usize) {
    buffer.resize(len, 0.0);
}
