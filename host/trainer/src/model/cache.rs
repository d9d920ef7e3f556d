//! Many sequences continued token by token, with the keys and values so far kept in a cache.
//!
//! The prompts run through the decoder's own forward pass, each once, and fill the caches of all their samples;
//! after that one pass computes the next token's logits for every sequence at the same time. Buffers stay from
//! one continuation to the next. Not here: which token comes next (`generate`).

use kernels::Write::Overwrite;
use kernels::{decode, embedding, logprob};

use super::activations::{Activations, Carver, Keep, LayerActivations};
use super::decoder::Decoder;
use super::parts::Statistics;
use super::rotations::Rotations;
use crate::batch::Packed;

/// Sequences in the making. S sequences: all samples of the first prompt, then all of the second, …
#[derive(Debug)]
pub struct Continuation {
    prompts: Packed,
    prompt_activations: Activations,
    layers: Vec<LayerCache>,
    capacity: usize,
    /// Tokens in the cache, \[S\].
    lengths: Vec<u32>,
    /// Places of the tokens that are being computed, \[S\].
    positions: Vec<u32>,
    rotations: Rotations,
    arena: Vec<f32>,
    /// \[S, V\]
    logits: Vec<f32>,
}

/// Keys and values of one block, \[S, capacity, K\] each.
#[derive(Debug, Default)]
struct LayerCache {
    k: Vec<f32>,
    v: Vec<f32>,
}

/// One row per sequence.
struct Buffers<'a> {
    /// The stream before and after a block, \[S, D\] each.
    input: &'a mut [f32],
    output: &'a mut [f32],
    /// \[S\]
    final_stats: Statistics<'a>,
    layer: LayerActivations<'a>,
}

impl<'a> Buffers<'a> {
    fn carve(memory: &mut Carver<'a>, decoder: &Decoder, n_sequences: usize) -> Self {
        let config = decoder.config();
        Self {
            input: memory.take(n_sequences * config.width),
            output: memory.take(n_sequences * config.width),
            final_stats: memory.statistics(config, n_sequences),
            layer: LayerActivations::carve(memory, config, n_sequences),
        }
    }
}

impl Default for Continuation {
    fn default() -> Self {
        Self {
            prompts: Packed::default(),
            prompt_activations: Activations::new(Keep::Nothing),
            layers: Vec::new(),
            capacity: 0,
            lengths: Vec::new(),
            positions: Vec::new(),
            rotations: Rotations::default(),
            arena: Vec::new(),
            logits: Vec::new(),
        }
    }
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
        self.rotations.fit(&decoder.rotations, self.capacity);
        self.fill_caches(decoder, weights, n_samples);

        let ends =
            self.prompts.segments.iter().map(|segment| (segment.start + segment.len - 1) as u32);
        let last_rows: Vec<u32> = ends.flat_map(samples_of).collect();
        let mut counter = Carver::counting();
        Buffers::carve(&mut counter, decoder, self.lengths.len());
        fit(&mut self.arena, counter.taken);
        let b = Buffers::carve(&mut Carver::new(&mut self.arena), decoder, self.lengths.len());
        let (hidden, width) = (self.prompt_activations.hidden(), decoder.config().width);
        embedding::forward(b.input, hidden, &last_rows, width, Overwrite);
        head(&mut self.logits, b.input, decoder, weights);
    }

    /// Appends one token to every sequence and computes the logits of the next.
    pub fn advance(&mut self, decoder: &Decoder, weights: &[f32], tokens: &[u32]) {
        self.positions.clone_from(&self.lengths);
        self.lengths.iter_mut().for_each(|length| *length += 1);
        let (positions, capacity) = (&self.positions, self.capacity);
        let mut b = Buffers::carve(&mut Carver::new(&mut self.arena), decoder, tokens.len());
        decoder.embed(b.input, weights, tokens, positions);
        for (block, cache) in decoder.blocks.iter().zip(&mut self.layers) {
            let a = &mut b.layer;
            block.project(b.input, a, weights, positions, &self.rotations);
            decode::append(&mut cache.k, a.k, positions, capacity);
            decode::append(&mut cache.v, a.v, positions, capacity);
            let cache = decode::Cache { k: &cache.k, v: &cache.v, capacity };
            decode::forward(a.attended, a.q, cache, &self.lengths, &block.heads);
            block.finish(b.output, b.input, a, weights);
            std::mem::swap(&mut b.input, &mut b.output);
        }
        decoder.final_norm.forward(b.output, &mut b.final_stats, b.input, weights);
        head(&mut self.logits, b.output, decoder, weights);
    }

    /// Computes the prompts, and copies each prompt's keys and values to all its samples.
    fn fill_caches(&mut self, decoder: &Decoder, weights: &[f32], n_samples: usize) {
        let (width, capacity) = (decoder.config().kv_width(), self.capacity);
        let size = self.lengths.len() * capacity * width;
        self.layers.resize_with(decoder.config().n_layers(), LayerCache::default);
        let Self { prompts, prompt_activations, layers, .. } = self;
        decoder.hidden(weights, prompts, prompt_activations, |index, computed| {
            let cache = &mut layers[index];
            for (cache, computed) in [(&mut cache.k, &computed.k), (&mut cache.v, &computed.v)] {
                fit(cache, size);
                let mut sequences = cache.chunks_exact_mut(capacity * width);
                for segment in &prompts.segments {
                    let rows = &computed[segment.start * width..][..segment.len * width];
                    sequences
                        .by_ref()
                        .take(n_samples)
                        .for_each(|cache| cache[..rows.len()].copy_from_slice(rows));
                }
            }
        });
    }
}

/// logits \[S, V\] from the normalised stream \[S, D\].
fn head(logits: &mut Vec<f32>, hidden: &[f32], decoder: &Decoder, weights: &[f32]) {
    let config = decoder.config();
    fit(logits, hidden.len() / config.width * config.vocabulary);
    decoder.head.forward(logits, hidden, weights, Overwrite);
    if let Some(cap) = config.logits_softcap {
        logprob::cap(logits, cap);
    }
}

/// Gives a buffer its length; its content is for the next operation to overwrite.
fn fit(buffer: &mut Vec<f32>, len: usize) {
    buffer.resize(len, 0.0);
}
