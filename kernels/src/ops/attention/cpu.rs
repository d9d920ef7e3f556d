//! One block of query rows and one key head at a time: scores, softmax and products that stay in cache.
//!
//! Forward runs in parallel over blocks of query rows. Backward runs in parallel over families of segments and key heads,
//! because keys and values of a prefix collect the gradients of all its segments, in order.

use super::tile::{self, Block, Tile};
use super::{Gradients, Inputs, Outputs, Segment, Shape};
use crate::Write::Overwrite;
use crate::elementary::{exp, tanh};
use crate::matrix::{Matrix, MatrixMut, multiply};
use crate::scratch;
use crate::vector::{LANES, dot, exponentials, maximum, vectorised};
use std::ops::Range;

pub(super) fn forward(
    y: &mut [f32],
    lse: &mut [f32],
    inputs: Inputs,
    segments: &[Segment],
    shape: &Shape,
) {
    match halves(segments) {
        Some((first, rest)) => {
            let rows = n_rows(first);
            let (y, y_rest) = y.split_at_mut(rows * shape.q_width());
            let (lse, lse_rest) = lse.split_at_mut(rows * shape.heads);
            rayon::join(
                || forward(y, lse, inputs, first, shape),
                || forward(y_rest, lse_rest, inputs, rest, shape),
            );
        }
        None => segments.iter().for_each(|segment| {
            forward_rows(y, lse, inputs, Block::whole(segment, shape), shape);
        }),
    }
}

/// All query rows of a segment, in parallel halves down to blocks.
fn forward_rows(y: &mut [f32], lse: &mut [f32], inputs: Inputs, rows: Block, shape: &Shape) {
    if let Some([upper, lower]) = rows.halves(shape) {
        let (y, y_rest) = y.split_at_mut(upper.len * shape.q_width());
        let (lse, lse_rest) = lse.split_at_mut(upper.len * shape.heads);
        rayon::join(
            || forward_rows(y, lse, inputs, upper, shape),
            || forward_rows(y_rest, lse_rest, inputs, lower, shape),
        );
        return;
    }
    if rows.len == 0 {
        return;
    }
    let heads = MatrixMut::new(y, rows.len, shape.q_width());
    let heads = heads.split_columns(shape.group() * shape.head_dim);
    for (kv_head, y) in heads.enumerate() {
        forward_tile(y, lse, inputs, &Tile { block: rows, kv_head, shape });
    }
}

/// Two parts of several segments.
fn halves(segments: &[Segment]) -> Option<(&[Segment], &[Segment])> {
    (segments.len() > 1).then(|| segments.split_at(segments.len() / 2))
}

fn n_rows(segments: &[Segment]) -> usize {
    segments.iter().map(|segment| segment.len).sum()
}

/// y \[len, group·head_dim\] and lse \[len, heads\] are the block's own rows.
fn forward_tile(y: MatrixMut, lse: &mut [f32], inputs: Inputs, tile: &Tile) {
    let (n_stacked, n_keys, stride) = (tile.n_stacked(), tile.n_keys(), tile.square_stride());
    let (stacked, gathered, square) = (tile.stacked_len(), tile.gathered_len(), n_stacked * stride);
    let sizes = [stacked, gathered, gathered, square, stacked];
    scratch::with_parts(sizes, |[q, k, v, p, out]| {
        let (q, k, v) =
            (tile.stack(q, inputs.q), tile.gather(k, inputs.k), tile.gather(v, inputs.v));
        let scores = MatrixMut::strided(p, n_stacked, n_keys, stride);
        multiply(scores, q, k.transposed(), tile.shape.scale, Overwrite);
        vectorised(
            #[inline(always)]
            || softmax_rows(p, lse, tile),
        );
        let p = Matrix::strided(p, n_stacked, n_keys, stride);
        tile.unstack(y, out, |y| multiply(y, p, v, 1.0, Overwrite));
    });
}

/// Scores become probabilities; lse is the block's own rows.
#[inline(always)]
fn softmax_rows(scores: &mut [f32], lse: &mut [f32], tile: &Tile) {
    let group = tile.shape.group();
    for (s, scores) in scores.chunks_exact_mut(tile.square_stride()).enumerate() {
        let (i, j) = (s / group, s % group);
        let scores = hide(scores, tile.visible(i), f32::NEG_INFINITY, tile.shape.softcap);
        lse[i * tile.shape.heads + tile.kv_head * group + j] = softmax(scores);
    }
}

/// Replaces the scores by their softmax and returns the log-sum-exp.
#[inline(always)]
fn softmax(scores: &mut [f32]) -> f32 {
    let largest = maximum(scores);
    let sum = exponentials(scores, largest);
    let inverse = 1.0 / sum;
    for p in scores {
        *p *= inverse;
    }
    largest + sum.ln()
}

/// The row up to its last visible element, filled up to whole vectors, where the hidden ones get `filler`; all others
/// become 0. Where there is a cap, the visible ones are capped.
#[inline(always)]
fn hide(row: &mut [f32], visible: Range<usize>, filler: f32, softcap: Option<f32>) -> &mut [f32] {
    let (row, hidden) = row.split_at_mut(visible.end.next_multiple_of(LANES));
    hidden.fill(0.0);
    if let Some(cap) = softcap {
        for score in &mut *row {
            *score = cap * tanh(*score / cap);
        }
    }
    row[visible.end..].fill(filler);
    row[..visible.start].fill(filler);
    row
}

/// Segments that share rows, and the gradients of those rows by some of the key heads.
struct Family<'a> {
    segments: &'a [Segment],
    first_kv_head: usize,
    n_kv_heads: usize,
    /// \[rows, n_kv_heads·group·head_dim\]
    dq: MatrixMut<'a>,
    /// \[rows, n_kv_heads·head_dim\]
    dk: MatrixMut<'a>,
    /// \[rows, n_kv_heads·head_dim\]
    dv: MatrixMut<'a>,
}

impl Family<'_> {
    /// Two parts of several heads.
    fn halves(self, shape: &Shape) -> [Self; 2] {
        let Self { segments, first_kv_head, n_kv_heads, dq, dk, dv } = self;
        let n_left = n_kv_heads / 2;
        let width = n_left * shape.head_dim;
        let [dq, dq_right] = dq.split_at_column(width * shape.group());
        let ([dk, dk_right], [dv, dv_right]) =
            (dk.split_at_column(width), dv.split_at_column(width));
        let (first_right, n_right) = (first_kv_head + n_left, n_kv_heads - n_left);
        [
            Self { segments, first_kv_head, n_kv_heads: n_left, dq, dk, dv },
            Self {
                segments,
                first_kv_head: first_right,
                n_kv_heads: n_right,
                dq: dq_right,
                dk: dk_right,
                dv: dv_right,
            },
        ]
    }
}

pub(super) fn backward(
    gradients: Gradients,
    dy: &[f32],
    outputs: Outputs,
    inputs: Inputs,
    segments: &[Segment],
    shape: &Shape,
) {
    if let Some((first, rest)) = tile::apart(segments) {
        let rows = n_rows(first);
        let Gradients { dq, dk, dv } = gradients;
        let (dq, dq_rest) = dq.split_at_mut(rows * shape.q_width());
        let (dk, dk_rest) = dk.split_at_mut(rows * shape.kv_width());
        let (dv, dv_rest) = dv.split_at_mut(rows * shape.kv_width());
        let upper = Gradients { dq, dk, dv };
        let lower = Gradients { dq: dq_rest, dk: dk_rest, dv: dv_rest };
        rayon::join(
            || backward(upper, dy, outputs, inputs, first, shape),
            || backward(lower, dy, outputs, inputs, rest, shape),
        );
        return;
    }
    let Gradients { dq, dk, dv } = gradients;
    let rows = n_rows(segments);
    let dq = MatrixMut::new(dq, rows, shape.q_width());
    let dk = MatrixMut::new(dk, rows, shape.kv_width());
    let dv = MatrixMut::new(dv, rows, shape.kv_width());
    let family = Family { segments, first_kv_head: 0, n_kv_heads: shape.kv_heads, dq, dk, dv };
    backward_heads(family, dy, outputs, inputs, shape);
}

/// A family's key heads, in parallel halves down to one.
fn backward_heads(mut family: Family, dy: &[f32], outputs: Outputs, inputs: Inputs, shape: &Shape) {
    if family.n_kv_heads > 1 {
        let [left, right] = family.halves(shape);
        rayon::join(
            || backward_heads(left, dy, outputs, inputs, shape),
            || backward_heads(right, dy, outputs, inputs, shape),
        );
        return;
    }
    for row in 0..n_rows(family.segments) {
        family.dk.row(row).fill(0.0);
        family.dv.row(row).fill(0.0);
    }
    for block in family.segments.iter().flat_map(|segment| Block::of(segment, shape)) {
        let tile = Tile { block, kv_head: family.first_kv_head, shape };
        backward_tile(&mut family, dy, outputs, inputs, &tile);
    }
}

/// Writes dq of the block; dk and dv of its keys grow.
fn backward_tile(family: &mut Family, dy: &[f32], outputs: Outputs, inputs: Inputs, tile: &Tile) {
    let (n_stacked, n_keys, stride) = (tile.n_stacked(), tile.n_keys(), tile.square_stride());
    let (stacked, gathered, square) = (tile.stacked_len(), tile.gathered_len(), n_stacked * stride);
    let sizes = [stacked, stacked, gathered, gathered, square, square, stacked, gathered];
    scratch::with_parts(sizes, |[q, dy_stacked, k, v, p, ds, out, sums]| {
        let (q, k, v) =
            (tile.stack(q, inputs.q), tile.gather(k, inputs.k), tile.gather(v, inputs.v));
        let (scale, dy_stacked) = (tile.shape.scale, tile.stack(dy_stacked, dy));
        let scores = MatrixMut::strided(p, n_stacked, n_keys, stride);
        multiply(scores, q, k.transposed(), scale, Overwrite);
        let dp = MatrixMut::strided(ds, n_stacked, n_keys, stride);
        multiply(dp, dy_stacked, v.transposed(), 1.0, Overwrite);
        vectorised(
            #[inline(always)]
            || softmax_backward_rows(p, ds, dy, outputs, tile),
        );

        let p = Matrix::strided(p, n_stacked, n_keys, stride);
        let ds = Matrix::strided(ds, n_stacked, n_keys, stride);
        let first_row = family.segments[0].start;
        let start = tile.block.start - first_row;
        let dq = family.dq.rows(start..start + tile.block.len);
        tile.unstack(dq, out, |dq| multiply(dq, ds, k, scale, Overwrite));
        tile.add_to_keys(&mut family.dk, first_row, sums, (ds.transposed(), q, scale));
        tile.add_to_keys(&mut family.dv, first_row, sums, (p.transposed(), dy_stacked, 1.0));
    });
}

/// Scores become probabilities, their gradient becomes that of the scores.
#[inline(always)]
fn softmax_backward_rows(p: &mut [f32], ds: &mut [f32], dy: &[f32], outputs: Outputs, tile: &Tile) {
    let (group, stride, head_dim) = (tile.shape.group(), tile.square_stride(), tile.shape.head_dim);
    let rows = p.chunks_exact_mut(stride).zip(ds.chunks_exact_mut(stride));
    for (s, (p, ds)) in rows.enumerate() {
        let (i, j) = (s / group, s % group);
        let row = tile.block.start + i;
        let head = j * head_dim..(j + 1) * head_dim;
        let projection = dot(&dy[tile.query(row)][head.clone()], &outputs.y[tile.query(row)][head]);
        let lse = outputs.lse[row * tile.shape.heads + tile.kv_head * group + j];
        let (visible, softcap) = (tile.visible(i), tile.shape.softcap);
        let p = hide(p, visible.clone(), f32::NEG_INFINITY, softcap);
        let ds = hide(ds, visible, 0.0, None);
        softmax_backward(p, ds, lse, projection, softcap);
    }
}

/// p = exp(score − lse) and ds = p·(dp − dy·y), with the cap's slope 1 − (score/cap)².
#[inline(always)]
fn softmax_backward(
    p: &mut [f32],
    ds: &mut [f32],
    lse: f32,
    projection: f32,
    softcap: Option<f32>,
) {
    match softcap {
        None => {
            for (p, ds) in p.iter_mut().zip(ds) {
                *p = exp(*p - lse);
                *ds = *p * (*ds - projection);
            }
        }
        Some(cap) => {
            for (p, ds) in p.iter_mut().zip(ds) {
                let score = *p;
                *p = exp(score - lse);
                // A hidden score is −∞, and its slope must not make 0·∞.
                let tanh = if *p > 0.0 { score / cap } else { 0.0 };
                *ds = *p * (*ds - projection) * (1.0 - tanh * tanh);
            }
        }
    }
}
