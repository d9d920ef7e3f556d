//! Causal attention with grouped queries over packed rows, where a prefix may be shared.
//!
//! Rows of many sequences follow each other without padding. A [`Segment`] is a run of rows that attend to
//! themselves causally and, before that, to all of an earlier run, so that a prompt computed once serves
//! every completion of it and collects the gradients of all. Query head h reads key and value head
//! h·kv_heads/heads. Per row i and head, over the visible rows j:
//!
//! sᵢⱼ = scale·qᵢ·kⱼ, lseᵢ = ln Σⱼ exp sᵢⱼ, pᵢⱼ = exp(sᵢⱼ − lseᵢ), yᵢ = Σⱼ pᵢⱼ·vⱼ; and backward
//! dvⱼ = Σᵢ pᵢⱼ·dyᵢ, dsᵢⱼ = pᵢⱼ·(dyᵢ·vⱼ − dyᵢ·yᵢ), dqᵢ = scale·Σⱼ dsᵢⱼ·kⱼ, dkⱼ = scale·Σᵢ dsᵢⱼ·qᵢ.
//!
//! With a soft cap c the scores are c·tanh(sᵢⱼ/c) instead (Gemma 2, arXiv:2408.00118), and dsᵢⱼ gets the factor
//! 1 − tanh². With a window w a row sees only the last w positions up to its own (Mistral, arXiv:2310.06825), where a
//! row's position counts from the start of the prefix: row i of a segment is at prefix_len + i. Blocks of keys outside
//! the window are not visited.
//!
//! Scores exist for one block of query rows and one head at a time. No cache (see `decode`), no positions (see
//! `rope`), no projection.

mod cpu;
pub mod cuda;
mod tile;

use tracing::trace_span;

/// A run of rows that attend to a prefix and to themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First row.
    pub start: usize,
    /// Number of rows. Row start + i attends to rows start..=start + i.
    pub len: usize,
    /// First row of the prefix, which every row of the segment attends to.
    pub prefix_start: usize,
    /// Rows of the prefix; it lies before `start`. 0 for none.
    pub prefix_len: usize,
}

/// The heads of a row, and what happens to the scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Factor of q·k, usually head_dim^-½.
    pub scale: f32,
    /// Bound c of the scores: s → c·tanh(s/c), after scaling.
    pub softcap: Option<f32>,
    /// Positions that a row sees at most, its own included; at least 1.
    pub window: Option<usize>,
}

impl Shape {
    fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Floating-point operations of one product of the visible pairs of query and key.
    fn flop(&self, segments: &[Segment]) -> u64 {
        let of_row = |segment: &Segment, i: usize| {
            let position = segment.prefix_len + i;
            position + 1 - self.first_visible(position)
        };
        let of = |segment: &Segment| (0..segment.len).map(|i| of_row(segment, i)).sum::<usize>();
        2 * (segments.iter().map(of).sum::<usize>() * self.q_width()) as u64
    }

    /// Query heads that read the same key head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    pub(crate) fn check(&self) {
        assert_eq!(
            self.heads % self.kv_heads,
            0,
            "key heads do not divide query heads in {self:?}"
        );
        assert_ne!(self.window, Some(0), "a window of 0 hides every key in {self:?}");
    }

    /// The first position that a row sees which is itself at `position`.
    pub(crate) fn first_visible(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}

/// What attention reads.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Queries, \[rows, heads, head_dim\].
    pub q: &'a [f32],
    /// Keys, \[rows, kv_heads, head_dim\].
    pub k: &'a [f32],
    /// Values, \[rows, kv_heads, head_dim\].
    pub v: &'a [f32],
}

/// The gradients of [`Inputs`], in the same shapes.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Of the queries.
    pub dq: &'a mut [f32],
    /// Of the keys.
    pub dk: &'a mut [f32],
    /// Of the values.
    pub dv: &'a mut [f32],
}

/// What forward wrote and backward reads again.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    /// \[rows, heads, head_dim\]
    pub y: &'a [f32],
    /// Log-sum-exp of the scores, \[rows, heads\].
    pub lse: &'a [f32],
}

/// y \[rows, heads, head_dim\] and lse \[rows, heads\] are overwritten. The segments follow each other and cover
/// all rows.
pub fn forward(
    y: &mut [f32],
    lse: &mut [f32],
    inputs: Inputs,
    segments: &[Segment],
    shape: &Shape,
) {
    let _span = trace_span!("attention forward", flop = 2 * shape.flop(segments)).entered();
    check(Outputs { y, lse }, inputs, segments, shape);
    cpu::forward(y, lse, inputs, segments, shape);
}

/// The gradients are overwritten; dy has the shape of y.
pub fn backward(
    gradients: Gradients,
    dy: &[f32],
    outputs: Outputs,
    inputs: Inputs,
    segments: &[Segment],
    shape: &Shape,
) {
    let _span = trace_span!("attention backward", flop = 5 * shape.flop(segments)).entered();
    check(outputs, inputs, segments, shape);
    assert_eq!(dy.len(), outputs.y.len(), "dy and y differ in size");
    assert_eq!(gradients.dq.len(), inputs.q.len(), "dq and q differ in size");
    assert_eq!(gradients.dk.len(), inputs.k.len(), "dk and k differ in size");
    assert_eq!(gradients.dv.len(), inputs.v.len(), "dv and v differ in size");
    cpu::backward(gradients, dy, outputs, inputs, segments, shape);
}

/// The rows of segments that follow each other and whose prefixes lie before them.
fn check_segments(segments: &[Segment]) -> usize {
    let mut rows = 0;
    for segment in segments {
        assert_eq!(
            segment.start, rows,
            "segments do not follow each other: {segment:?} should start at {rows}"
        );
        let prefix_end = segment.prefix_start + segment.prefix_len;
        assert!(prefix_end <= segment.start, "the prefix of {segment:?} does not lie before it");
        rows += segment.len;
    }
    rows
}

fn check(outputs: Outputs, inputs: Inputs, segments: &[Segment], shape: &Shape) {
    let rows = check_segments(segments);
    shape.check();
    assert_eq!(
        inputs.q.len(),
        rows * shape.q_width(),
        "q is not [{rows} rows, heads, head_dim] of {shape:?}"
    );
    assert_eq!(
        inputs.k.len(),
        rows * shape.kv_width(),
        "k is not [{rows} rows, kv_heads, head_dim] of {shape:?}"
    );
    assert_eq!(inputs.v.len(), inputs.k.len(), "v and k differ in size");
    assert_eq!(outputs.y.len(), inputs.q.len(), "y and q differ in size");
    assert_eq!(
        outputs.lse.len(),
        rows * shape.heads,
        "lse is not [{rows} rows, heads] of {shape:?}"
    );
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
