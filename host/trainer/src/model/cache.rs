//! Many sequences continued token by token, with the keys and values so far kept in a cache.
//!
//! The prompts run through the decoder's own forward pass, each once, and fill the caches of all their samples;
//! after that one pass computes the next token's logits for every sequence at the same time. Buffers stay from
//! one continuation to the next. Not here: which token comes next (`generate`).

use kernels::Write::{Accumulate, Overwrite};
use kernels::activation::Activation;
use kernels::{decode, embedding, gated, rope};

use super::activations::{Activations, fit};
use super::block::Block;
use super::decoder::Decoder;
use crate::batch::Packed;

/// Sequences in the making. S sequences: all samples of the first prompt, then all of the second, …
#[derive(Debug, Default)]
pub struct Continuation {
    prompts: Packed,
    prompt_activations: Activations,
    layers: Vec<LayerCache>,
    capacity: usize,
    /// Tokens in the cache, \[S\].
    lengths: Vec<u32>,
    /// Places of the tokens that are being computed, \[S\].
    positions: Vec<u32>,
    buffers: Buffers,
    logits: Vec<f32>,
}

/// Keys and values of one block, \[S, capacity, K\] each.
#[derive(Debug, Default)]
struct LayerCache {
    k: Vec<f32>,
    v: Vec<f32>,
}

/// One row per sequence; shapes as in `activations`.
#[derive(Debug, Default)]
struct Buffers {
    stream: Vec<f32>,
    rstd: Vec<f32>,
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    gated: Vec<f32>,
}

impl Continuation {
    /// Logits of the token that comes next, \[S, V\].
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Begins `n_samples` sequences from each prompt, each with room for `max_tokens` more.
    pub fn begin(
        &mut self,
        decoder: &Decoder,
        weights: &[f32],
        prompts: &[Vec<u32>],
        n_samples: usize,
        max_tokens: usize,
    ) {
        self.prompts.clear();
        prompts.iter().for_each(|prompt| self.prompts.push(prompt, &[]));
        decoder.hidden(weights, &self.prompts, &mut self.prompt_activations);

        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        self.capacity = longest + max_tokens;
        assert!(
            self.capacity <= decoder.config().context,
            "a prompt of {longest} tokens and {max_tokens} more exceed the context of {}",
            decoder.config().context
        );
        let samples_of = |prompt| std::iter::repeat_n(prompt, n_samples);
        self.lengths.clear();
        self.lengths.extend(prompts.iter().flat_map(|prompt| samples_of(prompt.len() as u32)));
        self.fill_caches(decoder, prompts, n_samples);
        self.fit_buffers(decoder);

        let ends =
            self.prompts.segments.iter().map(|segment| (segment.start + segment.len - 1) as u32);
        let last_rows: Vec<u32> = ends.flat_map(samples_of).collect();
        let hidden = &self.prompt_activations.hidden;
        embedding::forward(
            &mut self.buffers.normed,
            hidden,
            &last_rows,
            decoder.config().width,
            Overwrite,
        );
        decoder.head.forward(&mut self.logits, &self.buffers.normed, weights, Overwrite);
    }

    /// Appends one token to every sequence and computes the logits of the next.
    pub fn advance(&mut self, decoder: &Decoder, weights: &[f32], tokens: &[u32]) {
        self.positions.clone_from(&self.lengths);
        self.lengths.iter_mut().for_each(|length| *length += 1);
        let (table, width) = (decoder.layout().embedding.of(weights), decoder.config().width);
        embedding::forward(&mut self.buffers.stream, table, tokens, width, Overwrite);
        for (index, block) in decoder.blocks.iter().enumerate() {
            self.advance_block(block, index, &decoder.rotations, weights);
        }
        let b = &mut self.buffers;
        decoder.final_norm.forward(&mut b.normed, &mut b.rstd, &b.stream, weights);
        decoder.head.forward(&mut self.logits, &b.normed, weights, Overwrite);
    }

    /// [`Block::forward`] for one new token of each sequence, which attends to the cache.
    fn advance_block(
        &mut self,
        block: &Block,
        index: usize,
        rotations: &rope::Table,
        weights: &[f32],
    ) {
        let (b, cache, positions) = (&mut self.buffers, &mut self.layers[index], &self.positions);
        block.attention_norm.forward(&mut b.normed, &mut b.rstd, &b.stream, weights);
        block.q.forward(&mut b.q, &b.normed, weights, Overwrite);
        block.k.forward(&mut b.k, &b.normed, weights, Overwrite);
        block.v.forward(&mut b.v, &b.normed, weights, Overwrite);
        rope::forward(&mut b.q, positions, rotations);
        rope::forward(&mut b.k, positions, rotations);
        decode::append(&mut cache.k, &b.k, positions, self.capacity);
        decode::append(&mut cache.v, &b.v, positions, self.capacity);
        let cache = decode::Cache { k: &cache.k, v: &cache.v, capacity: self.capacity };
        decode::forward(&mut b.attended, &b.q, cache, &self.lengths, &block.heads);
        block.o.forward(&mut b.stream, &b.attended, weights, Accumulate);

        block.mlp_norm.forward(&mut b.normed, &mut b.rstd, &b.stream, weights);
        block.gate.forward(&mut b.gate, &b.normed, weights, Overwrite);
        block.up.forward(&mut b.up, &b.normed, weights, Overwrite);
        gated::forward(&mut b.gated, &b.gate, &b.up, Activation::Silu);
        block.down.forward(&mut b.stream, &b.gated, weights, Accumulate);
    }

    /// Copies each prompt's keys and values to all its samples.
    fn fill_caches(&mut self, decoder: &Decoder, prompts: &[Vec<u32>], n_samples: usize) {
        let width = decoder.config().kv_width();
        let size = prompts.len() * n_samples * self.capacity * width;
        self.layers.resize_with(decoder.config().n_layers, LayerCache::default);
        for (cache, computed) in self.layers.iter_mut().zip(&self.prompt_activations.layers) {
            for (cache, computed) in [(&mut cache.k, &computed.k), (&mut cache.v, &computed.v)] {
                fit(cache, size);
                let mut sequences = cache.chunks_exact_mut(self.capacity * width);
                for segment in &self.prompts.segments {
                    let rows = &computed[segment.start * width..][..segment.len * width];
                    sequences
                        .by_ref()
                        .take(n_samples)
                        .for_each(|cache| cache[..rows.len()].copy_from_slice(rows));
                }
            }
        }
    }

    fn fit_buffers(&mut self, decoder: &Decoder) {
        let (config, sequences) = (decoder.config(), self.lengths.len());
        let b = &mut self.buffers;
        fit(&mut b.rstd, sequences);
        for buffer in [&mut b.stream, &mut b.normed] {
            fit(buffer, sequences * config.width);
        }
        for buffer in [&mut b.q, &mut b.attended] {
            fit(buffer, sequences * config.q_width());
        }
        for buffer in [&mut b.k, &mut b.v] {
            fit(buffer, sequences * config.kv_width());
        }
        for buffer in [&mut b.gate, &mut b.up, &mut b.gated] {
            fit(buffer, sequences * config.mlp_width);
        }
        fit(&mut self.logits, sequences * config.vocabulary);
    }
}
