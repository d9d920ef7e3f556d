//! The memory of one pass on a device, taken from one arena: that of `model::activations`, in the stored number R.
//!
//! R rows, N targets, D width, Q all query heads, K all key heads, H heads, F feed-forward.

use kernels::activation::Activation;
use kernels::cuda::{Arena, Piece, Real};

use crate::model::Keep;
use crate::model::config::{DecoderConfig, NormKind};

/// What a norm keeps of each row. `mean` is empty for RMSNorm.
#[derive(Debug)]
pub(super) struct Statistics {
    pub mean: Piece<f32>,
    pub rstd: Piece<f32>,
}

impl Statistics {
    pub(super) fn take(arena: &mut Arena, config: &DecoderConfig, rows: usize) -> Self {
        let mean = arena.take_if(config.norm == NormKind::Layer, rows);
        Self { mean, rstd: arena.take(rows) }
    }
}

/// What there is to say of each target's distribution, \[N\] each, where it is asked for.
#[derive(Debug)]
pub(super) struct TokenStatistics {
    pub entropy: Piece<f32>,
    pub mean_logit: Piece<f32>,
    pub is_likeliest: Piece<u32>,
}

/// Everything of a pass.
#[derive(Debug)]
pub(super) struct Activations<R> {
    /// \[N\]
    pub token_logps: Piece<f32>,
    /// \[N\]
    pub logits_lse: Piece<f32>,
    pub statistics: Option<TokenStatistics>,
    /// One per completion.
    pub sums: Piece<f64>,
    /// The stream before each block and after the last, \[R, D\] each; two in turn where nothing is kept.
    pub streams: Vec<Piece<R>>,
    pub final_stats: Statistics,
    /// \[R, D\]
    pub hidden: Piece<R>,
    /// \[N, D\]
    pub predicting: Piece<R>,
    /// Of each block, or of all in turn.
    pub layers: Vec<Layer<R>>,
    /// None where nothing is kept.
    pub gradients: Option<Gradients<R>>,
}

/// The sizes of a batch that memory follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub rows: usize,
    pub targets: usize,
    pub completions: usize,
}

impl<R: Real> Activations<R> {
    pub(super) fn take(
        arena: &mut Arena,
        config: &DecoderConfig,
        sizes: Sizes,
        keep: Keep,
        statistics: bool,
    ) -> Self {
        let Sizes { rows, targets, completions } = sizes;
        let n_layers = config.n_layers();
        let (n_streams, n_kept) = match keep {
            Keep::All => (n_layers + 1, n_layers),
            Keep::Streams => (n_layers + 1, 1),
            Keep::Nothing => (2, 1),
        };
        let d = config.width;
        Self {
            token_logps: arena.take(targets),
            logits_lse: arena.take(targets),
            statistics: statistics.then(|| TokenStatistics {
                entropy: arena.take(targets),
                mean_logit: arena.take(targets),
                is_likeliest: arena.take(targets),
            }),
            sums: arena.take(completions),
            streams: (0..n_streams).map(|_| arena.take(rows * d)).collect(),
            final_stats: Statistics::take(arena, config, rows),
            hidden: arena.take(rows * d),
            predicting: arena.take(targets * d),
            layers: (0..n_kept).map(|_| Layer::take(arena, config, rows)).collect(),
            gradients: (keep != Keep::Nothing).then(|| Gradients::take(arena, config, sizes)),
        }
    }
}

/// What one block computes on the way. What its architecture does not need is empty.
#[derive(Debug)]
pub(super) struct Layer<R> {
    /// \[R\]
    pub input_stats: Statistics,
    /// \[R, D\]
    pub normed_input: Piece<R>,
    /// Before the norm of each head, \[R, Q\].
    pub raw_q: Piece<R>,
    /// \[R, H\]
    pub q_stats: Statistics,
    /// Before the norm of each head, \[R, K\].
    pub raw_k: Piece<R>,
    /// \[R, key heads\]
    pub k_stats: Statistics,
    /// \[R, Q\], rotated
    pub q: Piece<R>,
    /// \[R, K\], rotated
    pub k: Piece<R>,
    /// \[R, K\]
    pub v: Piece<R>,
    /// \[R, Q\]
    pub attended: Piece<R>,
    /// \[R, H\]
    pub lse: Piece<f32>,
    /// Before its output norm, \[R, D\].
    pub attention_output: Piece<R>,
    /// \[R\]
    pub attention_output_stats: Statistics,
    /// The stream between attention and feed-forward, \[R, D\].
    pub middle: Piece<R>,
    /// \[R\]
    pub middle_stats: Statistics,
    /// \[R, D\]
    pub normed_middle: Piece<R>,
    /// \[R, F\]
    pub gate: Piece<R>,
    /// \[R, F\]
    pub up: Piece<R>,
    /// \[R, F\]
    pub activated: Piece<R>,
    /// Before its output norm, \[R, D\].
    pub mlp_output: Piece<R>,
    /// \[R\]
    pub mlp_output_stats: Statistics,
}

impl<R: Real> Layer<R> {
    pub(super) fn take(arena: &mut Arena, config: &DecoderConfig, rows: usize) -> Self {
        let (d, q, k) = (rows * config.width, rows * config.q_width(), rows * config.kv_width());
        let f = rows * config.mlp_width;
        let (per_head, output_norms) = (config.query_key_norm, config.output_norms);
        let head_rows = |heads: usize| if per_head { rows * heads } else { 0 };
        let output_rows = if output_norms { rows } else { 0 };
        Self {
            input_stats: Statistics::take(arena, config, rows),
            normed_input: arena.take(d),
            raw_q: arena.take_if(per_head, q),
            q_stats: Statistics::take(arena, config, head_rows(config.n_heads)),
            raw_k: arena.take_if(per_head, k),
            k_stats: Statistics::take(arena, config, head_rows(config.n_kv_heads)),
            q: arena.take(q),
            k: arena.take(k),
            v: arena.take(k),
            attended: arena.take(q),
            lse: arena.take(rows * config.n_heads),
            attention_output: arena.take_if(output_norms, d),
            attention_output_stats: Statistics::take(arena, config, output_rows),
            middle: arena.take(d),
            middle_stats: Statistics::take(arena, config, rows),
            normed_middle: arena.take(d),
            gate: arena.take_if(config.gated, f),
            up: arena.take(f),
            activated: arena.take(f),
            mlp_output: arena.take_if(output_norms, d),
            mlp_output_stats: Statistics::take(arena, config, output_rows),
        }
    }
}

/// Gradients on the way back, shared by all blocks.
#[derive(Debug)]
pub(super) struct Gradients<R> {
    /// One per completion.
    pub derivatives: Piece<f32>,
    /// \[N\]
    pub token_logps: Piece<f32>,
    /// \[N, D\]
    pub predicting: Piece<R>,
    /// \[R, D\]
    pub hidden: Piece<R>,
    /// \[R, D\]
    pub stream: Piece<R>,
    /// \[R, D\]
    pub normed: Piece<R>,
    /// Of what goes into an output norm, \[R, D\].
    pub output: Piece<R>,
    /// \[R, Q\]
    pub q: Piece<R>,
    /// Of the queries before their norm, \[R, Q\].
    pub raw_q: Piece<R>,
    /// \[R, K\]
    pub k: Piece<R>,
    /// Of the keys before their norm, \[R, K\].
    pub raw_k: Piece<R>,
    /// \[R, K\]
    pub v: Piece<R>,
    /// \[R, Q\]
    pub attended: Piece<R>,
    /// \[R, F\]
    pub gate: Piece<R>,
    /// \[R, F\]
    pub up: Piece<R>,
    /// \[R, F\]; empty where nothing comes between it and `up`.
    pub activated: Piece<R>,
}

impl<R: Real> Gradients<R> {
    fn take(arena: &mut Arena, config: &DecoderConfig, sizes: Sizes) -> Self {
        let Sizes { rows, targets, completions } = sizes;
        let (d, q, k) = (rows * config.width, rows * config.q_width(), rows * config.kv_width());
        let f = rows * config.mlp_width;
        // The product before the approximation of GELU multiplies with its slope.
        let has_activated = config.gated || config.activation != Activation::GeluTanh;
        Self {
            derivatives: arena.take(completions),
            token_logps: arena.take(targets),
            predicting: arena.take(targets * config.width),
            hidden: arena.take(d),
            stream: arena.take(d),
            normed: arena.take(d),
            output: arena.take_if(config.output_norms, d),
            q: arena.take(q),
            raw_q: arena.take_if(config.query_key_norm, q),
            k: arena.take(k),
            raw_k: arena.take_if(config.query_key_norm, k),
            v: arena.take(k),
            attended: arena.take(q),
            gate: arena.take_if(config.gated, f),
            up: arena.take(f),
            activated: arena.take_if(has_activated, f),
        }
    }
}
