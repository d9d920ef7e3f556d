//! From tokens to the log-probs of completion tokens, and the way back to the gradients of all weights.
//!
//! R rows, N targets, D width, V vocabulary. Embedding, blocks, a last norm, and the head on the rows that
//! predict a completion token. Nothing here samples or knows what the log-probs are for. Sampling with a
//! cache: `cache`.

use kernels::{Write, embedding, logprob};

use super::activations::{Activations, Buffers, Carver, Keep, LayerActivations};
use super::block::{Block, Pass};
use super::config::{DecoderConfig, Rope};
use super::layout::{Layout, LinearSlots};
use super::parts::{Linear, Norm, WeightGradients};
use crate::batch::Packed;

/// An architecture: what it looks like and where its weights lie. It holds no weights.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    layout: Layout,
    pub(super) rotations: Vec<Frequencies>,
    pub(super) blocks: Vec<Block>,
    pub(super) final_norm: Norm,
    pub(super) head: Linear,
}

/// One kind of rotation, as numbers.
#[derive(Debug, Clone)]
pub(super) struct Frequencies {
    /// Radians per position, one per pair of a head.
    pub frequencies: Vec<f64>,
    /// Factor of cosines and sines.
    pub magnitude: f64,
}

impl Decoder {
    /// The decoder that a configuration describes.
    pub fn new(config: DecoderConfig) -> Self {
        let mut kinds: Vec<&Rope> = Vec::new();
        for rope in config.layers.iter().filter_map(|layer| layer.rope.as_ref()) {
            if !kinds.contains(&rope) {
                kinds.push(rope);
            }
        }
        let layout = Layout::new(&config);
        let blocks = config.layers.iter().zip(&layout.layers).map(|(layer, slots)| {
            let rotation = kinds.iter().position(|kind| Some(*kind) == layer.rope.as_ref());
            Block::new(&config, layer, slots, rotation)
        });
        let head = LinearSlots { weight: layout.head, bias: None };
        Self {
            blocks: blocks.collect(),
            rotations: kinds.iter().map(|kind| Frequencies::of(kind, config.head_width)).collect(),
            final_norm: Norm::new(layout.final_norm, &config),
            head: Linear { slots: head, inputs: config.width, outputs: config.vocabulary },
            layout,
            config,
        }
    }

    /// The same with other rotary frequencies, in radians per position, one per pair of a head.
    pub fn with_frequencies(config: DecoderConfig, frequencies: &[f64]) -> Self {
        let mut decoder = Self::new(config);
        for kind in &mut decoder.rotations {
            kind.frequencies = frequencies.to_vec();
        }
        decoder
    }

    /// What the architecture looks like.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Where each tensor lies in a buffer of weights or gradients.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The log-prob of every completion token of the batch, into `a.token_logps()`.
    pub fn forward(&self, weights: &[f32], batch: &Packed, a: &mut Activations) {
        self.hidden(weights, batch, a, |_, _| ());
        let Activations { keep, arena, logits, statistics, .. } = a;
        let b = self.carve(arena, batch, *keep);
        embedding::forward(
            b.predicting,
            b.hidden,
            &batch.predicting_rows,
            self.config.width,
            Write::Overwrite,
        );
        let inputs = self.head_inputs(b.predicting, weights, batch);
        let kept = (*keep != Keep::Nothing).then_some(logits);
        let (logp, lse, shape) =
            (b.token_logps, b.logits_lse, self.head_shape(batch.targets.len()));
        match statistics {
            None => logprob::forward(logp, lse, kept, inputs, shape),
            Some(rows) => {
                rows.resize(shape.rows, logprob::Statistics::default());
                logprob::forward_with_statistics(logp, lse, rows, kept, inputs, shape);
            }
        }
    }

    /// The normalised stream after the last block, into `a.hidden()`. `after_block` sees what each block computed.
    pub(super) fn hidden(
        &self,
        weights: &[f32],
        batch: &Packed,
        a: &mut Activations,
        mut after_block: impl FnMut(usize, &LayerActivations),
    ) {
        a.fit(&self.config, batch);
        a.rotations.fit(&self.rotations, longest(batch));
        let (keep, rows) = (a.keep, batch.rows());
        let Activations { arena, rotations, .. } = a;
        let pass = Pass { weights, batch, rotations };
        let mut b = self.carve(arena, batch, keep);
        let streams = Streams { each: rows * self.config.width, keep };
        self.embed(&mut b.streams[streams.range(0)], weights, &batch.tokens, &batch.positions);
        for (index, block) in self.blocks.iter().enumerate() {
            let [input, output] = streams.around(b.streams, index);
            let mut layer = b.layers.of(index, &self.config, rows);
            block.forward(output, input, &mut layer, pass);
            after_block(index, &layer);
        }
        let last = &b.streams[streams.range(self.blocks.len())];
        self.final_norm.forward(b.hidden, &mut b.final_stats, last, weights);
    }

    /// d(Σ dlogps·logps)/d(weights), written over `gradients` or added to them. `a` is what forward left for the same
    /// weights and batch.
    pub fn backward(
        &self,
        gradients: &mut [f32],
        weights: &[f32],
        batch: &Packed,
        a: &mut Activations,
        dlogps: &[f32],
        write: Write,
    ) {
        let (keep, rows, width) = (a.keep, batch.rows(), self.config.width);
        assert_ne!(keep, Keep::Nothing, "nothing was kept for a backward pass");
        let Activations { arena, logits, rotations, .. } = a;
        let pass = Pass { weights, batch, rotations };
        let b = self.carve(arena, batch, keep);
        let (mut d, mut layers) = (b.gradients, b.layers);
        let inputs = self.head_inputs(b.predicting, weights, batch);
        let g = &mut WeightGradients { buffer: gradients, write };
        let (dhead, shape) = (g.of(self.layout.head), self.head_shape(batch.targets.len()));
        logprob::backward(d.predicting, dhead, dlogps, b.logits_lse, logits, inputs, shape, write);
        let overwrite = Write::Overwrite;
        embedding::backward(d.hidden, d.predicting, &batch.predicting_rows, width, overwrite);

        let streams = Streams { each: rows * width, keep };
        let last = &b.streams[streams.range(self.blocks.len())];
        let stats = &b.final_stats;
        self.final_norm.backward(d.stream, g, d.hidden, last, stats, weights, overwrite);
        for (index, block) in self.blocks.iter().enumerate().rev() {
            let [input, output] = streams.around(b.streams, index);
            let mut layer = layers.of(index, &self.config, rows);
            if keep == Keep::Streams {
                block.forward(output, input, &mut layer, pass);
            }
            block.backward(g, &mut d, input, &layer, pass);
        }
        self.embed_backward(g, d.stream, batch);
    }

    /// The stream before the first block. Shapes: stream \[R, D\], tokens and positions \[R\].
    pub(super) fn embed(&self, stream: &mut [f32], w: &[f32], tokens: &[u32], positions: &[u32]) {
        let (table, width) = (self.layout.embedding.of(w), self.config.width);
        embedding::forward(stream, table, tokens, width, Write::Overwrite);
        if let Some(scale) = self.config.embedding_scale {
            embedding::scale(stream, scale);
        }
        if let Some(slot) = self.layout.positions {
            embedding::forward(stream, slot.of(w), positions, width, Write::Accumulate);
        }
    }

    fn embed_backward(&self, g: &mut WeightGradients, dstream: &mut [f32], batch: &Packed) {
        let (width, write) = (self.config.width, g.write);
        if let Some(slot) = self.layout.positions {
            embedding::backward(g.of(slot), dstream, &batch.positions, width, write);
        }
        if let Some(scale) = self.config.embedding_scale {
            embedding::scale(dstream, scale);
        }
        if let Some(padding) = self.config.padding_token {
            let rows = dstream.chunks_exact_mut(width).zip(&batch.tokens);
            rows.filter(|(_, token)| **token == padding).for_each(|(row, _)| row.fill(0.0));
        }
        // A tied head has written there already.
        let write = if self.config.tied_head { Write::Accumulate } else { write };
        let dtable = g.of(self.layout.embedding);
        embedding::backward(dtable, dstream, &batch.tokens, width, write);
    }

    fn carve<'a>(&self, arena: &'a mut [f32], batch: &Packed, keep: Keep) -> Buffers<'a> {
        let mut carver = Carver::new(arena);
        Buffers::carve(&mut carver, &self.config, batch.rows(), batch.targets.len(), keep)
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

    pub(super) fn head_shape(&self, rows: usize) -> logprob::Shape {
        let DecoderConfig { width, vocabulary, logits_softcap: softcap, .. } = self.config;
        logprob::Shape { rows, width, vocabulary, softcap }
    }
}

impl Frequencies {
    fn of(rope: &Rope, head_width: usize) -> Self {
        Self { frequencies: rope.frequencies(head_width), magnitude: rope.magnitude() }
    }
}

/// Positions that a batch needs.
fn longest(batch: &Packed) -> usize {
    batch.positions.iter().max().map_or(0, |last| *last as usize + 1)
}

/// Where the stream before block `index` lies.
#[derive(Clone, Copy)]
struct Streams {
    each: usize,
    keep: Keep,
}

impl Streams {
    fn range(self, index: usize) -> std::ops::Range<usize> {
        let place = if self.keep == Keep::Nothing { index % 2 } else { index };
        place * self.each..(place + 1) * self.each
    }

    /// The stream before and after a block.
    fn around(self, streams: &mut [f32], index: usize) -> [&mut [f32]; 2] {
        let both = [self.range(index), self.range(index + 1)];
        streams.get_disjoint_mut(both).expect("neighbouring streams do not overlap")
    }
}
