//! The memory of one pass over a batch: what forward writes and backward reads, and backward's own.
//!
//! All of it lies in one arena whose plan follows from the architecture and the batch, so a step that is no larger than
//! one before it allocates nothing. R rows, N targets, D width, Q all query heads, K all key heads, H heads, F
//! feed-forward.

use kernels::logprob::Statistics as TokenStatistics;

use super::config::{DecoderConfig, NormKind};
use super::parts::Statistics;
use super::rotations::Rotations;
use crate::batch::Packed;

/// What of a pass is kept for a backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Everything that backward reads.
    #[default]
    All,
    /// The stream before each block; backward computes the rest again, block by block.
    Streams,
    /// Nothing: there is no backward pass.
    Nothing,
}

/// What a pass over a batch leaves behind.
#[derive(Debug, Default)]
pub struct Activations {
    pub(super) keep: Keep,
    pub(super) arena: Vec<f32>,
    /// Logits from forward to backward, where they fit into the budget.
    pub(super) logits: Vec<f32>,
    pub(super) rotations: Rotations,
    /// Of each completion token, where they are asked for.
    pub(super) statistics: Option<Vec<TokenStatistics>>,
    sizes: Sizes,
}

/// What the plan of the last pass was made for.
#[derive(Debug, Clone, Copy, Default)]
struct Sizes {
    n_targets: usize,
    /// R·D
    stream: usize,
}

impl Activations {
    /// Memory that keeps what `keep` says.
    pub fn new(keep: Keep) -> Self {
        Self { keep, ..Self::default() }
    }

    /// The same, with statistics of the distribution that each completion token was predicted with.
    pub fn with_statistics(mut self) -> Self {
        self.statistics = Some(Vec::new());
        self
    }

    /// What holds of the distribution of each completion token, \[N\]; `None` unless it was asked for.
    pub fn token_statistics(&self) -> Option<&[TokenStatistics]> {
        self.statistics.as_deref()
    }

    /// The log-prob of each completion token, \[N\].
    pub fn token_logps(&self) -> &[f32] {
        &self.arena[..self.sizes.n_targets]
    }

    /// The normalised stream after the last block, \[R, D\].
    pub fn hidden(&self) -> &[f32] {
        &self.arena[self.sizes.n_targets..][..self.sizes.stream]
    }

    /// The stream before block `index`, or after the last, \[R, D\]. Kept unless [`Keep::Nothing`] is.
    pub fn stream(&self, index: usize) -> &[f32] {
        assert_ne!(self.keep, Keep::Nothing, "streams are not kept");
        &self.arena[self.sizes.n_targets + (1 + index) * self.sizes.stream..][..self.sizes.stream]
    }

    /// Memory of the arena, in bytes.
    pub fn bytes(&self) -> usize {
        4 * (self.arena.len() + self.logits.len())
    }

    /// Makes room for a batch.
    pub(super) fn fit(&mut self, config: &DecoderConfig, batch: &Packed) {
        let (rows, n_targets) = (batch.rows(), batch.targets.len());
        self.sizes = Sizes { n_targets, stream: rows * config.width };
        let mut counter = Carver::counting();
        Buffers::carve(&mut counter, config, rows, n_targets, self.keep);
        if self.arena.len() < counter.taken {
            self.arena.resize(counter.taken, 0.0);
        }
    }
}

/// Takes one piece of memory after the other, or only counts.
pub(super) struct Carver<'a> {
    /// What is left; nothing when counting.
    rest: Option<&'a mut [f32]>,
    pub(super) taken: usize,
}

impl<'a> Carver<'a> {
    pub(super) fn new(memory: &'a mut [f32]) -> Self {
        Self { rest: Some(memory), taken: 0 }
    }

    /// Hands out empty pieces and counts what they would take.
    pub(super) fn counting() -> Self {
        Self { rest: None, taken: 0 }
    }

    pub(super) fn take(&mut self, len: usize) -> &'a mut [f32] {
        self.taken += len;
        match self.rest.take() {
            None => &mut [],
            Some(rest) => {
                let (piece, rest) = rest.split_at_mut(len);
                self.rest = Some(rest);
                piece
            }
        }
    }

    fn take_if(&mut self, wanted: bool, len: usize) -> &'a mut [f32] {
        self.take(if wanted { len } else { 0 })
    }

    /// For a norm over `rows` rows.
    pub(super) fn statistics(&mut self, config: &DecoderConfig, rows: usize) -> Statistics<'a> {
        let mean = self.take_if(config.norm == NormKind::Layer, rows);
        Statistics { mean, rstd: self.take(rows) }
    }
}

/// The arena, cut for a batch.
pub(super) struct Buffers<'a> {
    /// \[N\]
    pub token_logps: &'a mut [f32],
    /// \[R, D\]
    pub hidden: &'a mut [f32],
    /// The stream before each block, and after the last: L + 1 times \[R, D\], or two in turn.
    pub streams: &'a mut [f32],
    /// \[R\]
    pub final_stats: Statistics<'a>,
    /// The hidden rows that predict a completion token, \[N, D\].
    pub predicting: &'a mut [f32],
    /// \[N\]
    pub logits_lse: &'a mut [f32],
    /// One [`LayerActivations`] after the other: all, or one.
    pub layers: Layers<'a>,
    pub gradients: GradientBuffers<'a>,
}

impl<'a> Buffers<'a> {
    pub(super) fn carve(
        memory: &mut Carver<'a>,
        config: &DecoderConfig,
        rows: usize,
        n_targets: usize,
        keep: Keep,
    ) -> Self {
        let n_layers = config.n_layers();
        let (n_streams, n_kept) = match keep {
            Keep::All => (n_layers + 1, n_layers),
            Keep::Streams => (n_layers + 1, 1),
            Keep::Nothing => (2, 1),
        };
        let mut layer = Carver::counting();
        LayerActivations::carve(&mut layer, config, rows);
        Self {
            token_logps: memory.take(n_targets),
            hidden: memory.take(rows * config.width),
            streams: memory.take(n_streams * rows * config.width),
            final_stats: memory.statistics(config, rows),
            predicting: memory.take(n_targets * config.width),
            logits_lse: memory.take(n_targets),
            layers: Layers { memory: memory.take(n_kept * layer.taken), each: layer.taken, n_kept },
            gradients: match keep {
                Keep::Nothing => GradientBuffers::carve(memory, config, 0, 0),
                _ => GradientBuffers::carve(memory, config, rows, n_targets),
            },
        }
    }
}

/// Memory for the blocks' own activations.
pub(super) struct Layers<'a> {
    memory: &'a mut [f32],
    each: usize,
    n_kept: usize,
}

impl Layers<'_> {
    /// Those of block `index`; where one is kept, all blocks share it.
    pub(super) fn of(
        &mut self,
        index: usize,
        config: &DecoderConfig,
        rows: usize,
    ) -> LayerActivations<'_> {
        let start = index.min(self.n_kept - 1) * self.each;
        let mut carver = Carver::new(&mut self.memory[start..start + self.each]);
        LayerActivations::carve(&mut carver, config, rows)
    }
}

/// What one block computes on the way. What its architecture does not need is empty.
#[derive(Debug)]
pub(super) struct LayerActivations<'a> {
    /// \[R\]
    pub input_stats: Statistics<'a>,
    /// \[R, D\]
    pub normed_input: &'a mut [f32],
    /// Before the norm of each head, \[R, Q\].
    pub raw_q: &'a mut [f32],
    /// \[R, H\]
    pub q_stats: Statistics<'a>,
    /// Before the norm of each head, \[R, K\].
    pub raw_k: &'a mut [f32],
    /// \[R, key heads\]
    pub k_stats: Statistics<'a>,
    /// \[R, Q\], rotated
    pub q: &'a mut [f32],
    /// \[R, K\], rotated
    pub k: &'a mut [f32],
    /// \[R, K\]
    pub v: &'a mut [f32],
    /// \[R, Q\]
    pub attended: &'a mut [f32],
    /// \[R, H\]
    pub lse: &'a mut [f32],
    /// Before its output norm, \[R, D\].
    pub attention_output: &'a mut [f32],
    /// \[R\]
    pub attention_output_stats: Statistics<'a>,
    /// The stream between attention and feed-forward, \[R, D\].
    pub middle: &'a mut [f32],
    /// \[R\]
    pub middle_stats: Statistics<'a>,
    /// \[R, D\]
    pub normed_middle: &'a mut [f32],
    /// \[R, F\]
    pub gate: &'a mut [f32],
    /// \[R, F\]
    pub up: &'a mut [f32],
    /// \[R, F\]
    pub activated: &'a mut [f32],
    /// Before its output norm, \[R, D\].
    pub mlp_output: &'a mut [f32],
    /// \[R\]
    pub mlp_output_stats: Statistics<'a>,
}

impl<'a> LayerActivations<'a> {
    pub(super) fn carve(memory: &mut Carver<'a>, config: &DecoderConfig, rows: usize) -> Self {
        let (d, q, k) = (rows * config.width, rows * config.q_width(), rows * config.kv_width());
        let f = rows * config.mlp_width;
        let (per_head, output_norms) = (config.query_key_norm, config.output_norms);
        let head_rows = |heads: usize| if per_head { rows * heads } else { 0 };
        let output_rows = if output_norms { rows } else { 0 };
        Self {
            input_stats: memory.statistics(config, rows),
            normed_input: memory.take(d),
            raw_q: memory.take_if(per_head, q),
            q_stats: memory.statistics(config, head_rows(config.n_heads)),
            raw_k: memory.take_if(per_head, k),
            k_stats: memory.statistics(config, head_rows(config.n_kv_heads)),
            q: memory.take(q),
            k: memory.take(k),
            v: memory.take(k),
            attended: memory.take(q),
            lse: memory.take(rows * config.n_heads),
            attention_output: memory.take_if(output_norms, d),
            attention_output_stats: memory.statistics(config, output_rows),
            middle: memory.take(d),
            middle_stats: memory.statistics(config, rows),
            normed_middle: memory.take(d),
            gate: memory.take_if(config.gated, f),
            up: memory.take(f),
            activated: memory.take(f),
            mlp_output: memory.take_if(output_norms, d),
            mlp_output_stats: memory.statistics(config, output_rows),
        }
    }
}

/// Gradients on the way back, shared by all blocks.
#[derive(Debug)]
pub(super) struct GradientBuffers<'a> {
    /// \[N, D\]
    pub predicting: &'a mut [f32],
    /// \[R, D\]
    pub hidden: &'a mut [f32],
    /// \[R, D\]
    pub stream: &'a mut [f32],
    /// \[R, D\]
    pub normed: &'a mut [f32],
    /// Of what goes into an output norm, \[R, D\].
    pub output: &'a mut [f32],
    /// \[R, Q\]
    pub q: &'a mut [f32],
    /// Of the queries before their norm, \[R, Q\].
    pub raw_q: &'a mut [f32],
    /// \[R, K\]
    pub k: &'a mut [f32],
    /// Of the keys before their norm, \[R, K\].
    pub raw_k: &'a mut [f32],
    /// \[R, K\]
    pub v: &'a mut [f32],
    /// \[R, Q\]
    pub attended: &'a mut [f32],
    /// \[R, F\]
    pub gate: &'a mut [f32],
    /// \[R, F\]
    pub up: &'a mut [f32],
    /// \[R, F\]
    pub activated: &'a mut [f32],
}

impl<'a> GradientBuffers<'a> {
    fn carve(memory: &mut Carver<'a>, config: &DecoderConfig, rows: usize, targets: usize) -> Self {
        let (d, q, k) = (rows * config.width, rows * config.q_width(), rows * config.kv_width());
        let f = rows * config.mlp_width;
        Self {
            predicting: memory.take(targets * config.width),
            hidden: memory.take(d),
            stream: memory.take(d),
            normed: memory.take(d),
            output: memory.take_if(config.output_norms, d),
            q: memory.take(q),
            raw_q: memory.take_if(config.query_key_norm, q),
            k: memory.take(k),
            raw_k: memory.take_if(config.query_key_norm, k),
            v: memory.take(k),
            attended: memory.take(q),
            gate: memory.take_if(config.gated, f),
            up: memory.take(f),
            activated: memory.take(f),
        }
    }
}
