//! One block of query rows and one key head at a time: scores, softmax and products on copies that stay in cache.
//!
//! Forward runs in parallel over blocks of query rows. Backward runs in parallel over families of segments, because
//! keys and values of a prefix collect the gradients of all its segments, in order.

use super::tile::{Block, Tile, families, scratch};
use super::{Gradients, Inputs, Outputs, Segment, Shape};
use crate::Write::Overwrite;
use crate::elementary::{exp, tanh};
use crate::matrix::{Matrix, MatrixMut, multiply};
use crate::vector::{LANES, dot, exponentials, maximum, vectorised};
use rayon::prelude::*;
use std::ops::Range;

/// Buffers of one tile. Stacked ones are \[n_stacked, head_dim\], gathered ones \[n_keys, head_dim\], squares
/// \[n_stacked, n_keys\].
#[derive(Default)]
struct Scratch {
    /// Stacked queries.
    q: Vec<f32>,
    /// Stacked gradient of the outputs.
    dy: Vec<f32>,
    /// Stacked outputs, or gradient of the queries.
    stacked: Vec<f32>,
    /// Gathered keys.
    k: Vec<f32>,
    /// Gathered values.
    v: Vec<f32>,
    /// Gradient of the gathered keys or values.
    gathered: Vec<f32>,
    /// Square of scores, then probabilities.
    p: Vec<f32>,
    /// Square of the gradient of the probabilities, then of the scores.
    ds: Vec<f32>,
}

pub(super) fn forward(
    y: &mut [f32],
    lse: &mut [f32],
    inputs: Inputs,
    segments: &[Segment],
    shape: &Shape,
) {
    let mut tasks = Vec::new();
    let (mut y_left, mut lse_left) = (y, lse);
    for block in segments.iter().flat_map(|segment| Block::of(segment, shape)) {
        let (y, y_rest) = y_left.split_at_mut(block.len * shape.q_width());
        let (lse, lse_rest) = lse_left.split_at_mut(block.len * shape.heads);
        tasks.push((block, y, lse));
        (y_left, lse_left) = (y_rest, lse_rest);
    }
    tasks.into_par_iter().for_each_init(Scratch::default, |scratch, (block, y, lse)| {
        for kv_head in 0..shape.kv_heads {
            forward_tile(y, lse, inputs, &Tile { block, kv_head, shape }, scratch);
        }
    });
}

/// y and lse are the block's own rows.
fn forward_tile(
    y: &mut [f32],
    lse: &mut [f32],
    inputs: Inputs,
    tile: &Tile,
    buffers: &mut Scratch,
) {
    let (n_stacked, n_keys, head_dim) = (tile.n_stacked(), tile.n_keys(), tile.shape.head_dim);
    let q = Matrix::new(tile.stack(&mut buffers.q, inputs.q), n_stacked, head_dim);
    let k = Matrix::new(tile.gather(&mut buffers.k, inputs.k), n_keys, head_dim);
    let v = Matrix::new(tile.gather(&mut buffers.v, inputs.v), n_keys, head_dim);
    let p = scratch(&mut buffers.p, n_stacked * n_keys);
    let stacked = scratch(&mut buffers.stacked, n_stacked * head_dim);

    multiply(MatrixMut::new(p, n_stacked, n_keys), q, k.transposed(), tile.shape.scale, Overwrite);
    vectorised(
        #[inline(always)]
        || softmax_rows(p, lse, tile),
    );
    multiply(
        MatrixMut::new(stacked, n_stacked, head_dim),
        Matrix::new(p, n_stacked, n_keys),
        v,
        1.0,
        Overwrite,
    );
    tile.unstack(y, tile.block.start, stacked);
}

/// Scores become probabilities; lse is the block's own rows.
#[inline(always)]
fn softmax_rows(scores: &mut [f32], lse: &mut [f32], tile: &Tile) {
    let group = tile.shape.group();
    for (s, scores) in scores.chunks_exact_mut(tile.n_keys()).enumerate() {
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

/// Segments that share rows, with the gradients of those rows.
struct Family<'a> {
    segments: &'a [Segment],
    gradients: Gradients<'a>,
}

pub(super) fn backward(
    gradients: Gradients,
    dy: &[f32],
    outputs: Outputs,
    inputs: Inputs,
    segments: &[Segment],
    shape: &Shape,
) {
    let mut tasks = Vec::new();
    let Gradients { dq: mut dq_left, dk: mut dk_left, dv: mut dv_left } = gradients;
    for segments in families(segments) {
        let rows: usize = segments.iter().map(|segment| segment.len).sum();
        let (dq, dq_rest) = dq_left.split_at_mut(rows * shape.q_width());
        let (dk, dk_rest) = dk_left.split_at_mut(rows * shape.kv_width());
        let (dv, dv_rest) = dv_left.split_at_mut(rows * shape.kv_width());
        tasks.push(Family { segments, gradients: Gradients { dq, dk, dv } });
        (dq_left, dk_left, dv_left) = (dq_rest, dk_rest, dv_rest);
    }
    tasks.into_par_iter().for_each_init(Scratch::default, |scratch, mut family| {
        family.gradients.dk.fill(0.0);
        family.gradients.dv.fill(0.0);
        for block in family.segments.iter().flat_map(|segment| Block::of(segment, shape)) {
            for kv_head in 0..shape.kv_heads {
                backward_tile(
                    &mut family,
                    dy,
                    outputs,
                    inputs,
                    &Tile { block, kv_head, shape },
                    scratch,
                );
            }
        }
    });
}

/// Writes dq of the block; dk and dv of its keys grow.
fn backward_tile(
    family: &mut Family,
    dy: &[f32],
    outputs: Outputs,
    inputs: Inputs,
    tile: &Tile,
    buffers: &mut Scratch,
) {
    let (n_stacked, n_keys, head_dim, scale) =
        (tile.n_stacked(), tile.n_keys(), tile.shape.head_dim, tile.shape.scale);
    let q = Matrix::new(tile.stack(&mut buffers.q, inputs.q), n_stacked, head_dim);
    let dy_rows = tile.stack(&mut buffers.dy, dy);
    let dy = Matrix::new(dy_rows, n_stacked, head_dim);
    let k = Matrix::new(tile.gather(&mut buffers.k, inputs.k), n_keys, head_dim);
    let v = Matrix::new(tile.gather(&mut buffers.v, inputs.v), n_keys, head_dim);
    let p = scratch(&mut buffers.p, n_stacked * n_keys);
    let ds = scratch(&mut buffers.ds, n_stacked * n_keys);

    multiply(MatrixMut::new(p, n_stacked, n_keys), q, k.transposed(), scale, Overwrite);
    multiply(MatrixMut::new(ds, n_stacked, n_keys), dy, v.transposed(), 1.0, Overwrite);
    vectorised(
        #[inline(always)]
        || softmax_backward_rows(p, ds, dy_rows, outputs, tile),
    );

    let (p, ds) = (Matrix::new(p, n_stacked, n_keys), Matrix::new(ds, n_stacked, n_keys));
    let stacked = scratch(&mut buffers.stacked, n_stacked * head_dim);
    let gathered = scratch(&mut buffers.gathered, n_keys * head_dim);
    let first_row = family.segments[0].start;
    multiply(MatrixMut::new(stacked, n_stacked, head_dim), ds, k, scale, Overwrite);
    tile.unstack(family.gradients.dq, first_row, stacked);
    multiply(MatrixMut::new(gathered, n_keys, head_dim), ds.transposed(), q, scale, Overwrite);
    tile.scatter_add(family.gradients.dk, first_row, gathered);
    multiply(MatrixMut::new(gathered, n_keys, head_dim), p.transposed(), dy, 1.0, Overwrite);
    tile.scatter_add(family.gradients.dv, first_row, gathered);
}

/// Scores become probabilities, their gradient becomes that of the scores.
#[inline(always)]
fn softmax_backward_rows(p: &mut [f32], ds: &mut [f32], dy: &[f32], outputs: Outputs, tile: &Tile) {
    let (group, n_keys, head_dim) = (tile.shape.group(), tile.n_keys(), tile.shape.head_dim);
    let rows =
        p.chunks_exact_mut(n_keys).zip(ds.chunks_exact_mut(n_keys)).zip(dy.chunks_exact(head_dim));
    for (s, ((p, ds), dy)) in rows.enumerate() {
        let (i, j) = (s / group, s % group);
        let row = tile.block.start + i;
        let y = &outputs.y[tile.query(row)][j * head_dim..(j + 1) * head_dim];
        let lse = outputs.lse[row * tile.shape.heads + tile.kv_head * group + j];
        let (visible, softcap) = (tile.visible(i), tile.shape.softcap);
        let p = hide(p, visible.clone(), f32::NEG_INFINITY, softcap);
        let ds = hide(ds, visible, 0.0, None);
        softmax_backward(p, ds, lse, dot(dy, y), softcap);
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
