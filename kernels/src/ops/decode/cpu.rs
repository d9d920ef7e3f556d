//! One sequence and key head after the other, in parallel over sequences. The query heads of a group are neighbours
//! in memory, so that their scores and outputs are one small product each.

use super::Cache;
use crate::Write::Overwrite;
use crate::attention::Shape;
use crate::elementary::tanh;
use crate::matrix::{Matrix, MatrixMut, multiply};
use crate::scratch;
use crate::vector::{exponentials, maximum, vectorised};
use rayon::prelude::*;

pub(super) fn append(
    cache: &mut [f32],
    rows: &[f32],
    positions: &[u32],
    capacity: usize,
    width: usize,
) {
    let sequences = cache.chunks_exact_mut(capacity * width).zip(rows.chunks_exact(width));
    for ((cache, row), &position) in sequences.zip(positions) {
        cache[position as usize * width..][..width].copy_from_slice(row);
    }
}

pub(super) fn forward(y: &mut [f32], q: &[f32], cache: Cache, lengths: &[u32], shape: &Shape) {
    let stride = cache.capacity * shape.kv_heads * shape.head_dim;
    let width = shape.heads * shape.head_dim;
    let sequences = y.par_chunks_mut(width).zip(q.par_chunks(width)).zip(lengths).enumerate();
    sequences.for_each(|(s, ((y, q), &length))| {
        let (k, v) = (&cache.k[s * stride..][..stride], &cache.v[s * stride..][..stride]);
        if length == 0 {
            y.fill(0.0);
        } else {
            attend(y, q, k, v, length as usize, shape);
        }
    });
}

/// One sequence: y and q \[heads, head_dim\], k and v \[capacity, kv_heads, head_dim\].
fn attend(y: &mut [f32], q: &[f32], k: &[f32], v: &[f32], length: usize, shape: &Shape) {
    let (group, head_dim, kv_width) =
        (shape.heads / shape.kv_heads, shape.head_dim, shape.kv_heads * shape.head_dim);
    let first = shape.first_visible(length - 1);
    let n_keys = length - first;
    scratch::with(group * n_keys, |scores| {
        let groups = y.chunks_exact_mut(group * head_dim).zip(q.chunks_exact(group * head_dim));
        for (kv_head, (y, q)) in groups.enumerate() {
            let offset = first * kv_width + kv_head * head_dim;
            let k = Matrix::strided(&k[offset..], n_keys, head_dim, kv_width);
            let v = Matrix::strided(&v[offset..], n_keys, head_dim, kv_width);
            let (y, q) = (MatrixMut::new(y, group, head_dim), Matrix::new(q, group, head_dim));
            let scores_of = MatrixMut::new(scores, group, n_keys);
            multiply(scores_of, q, k.transposed(), shape.scale, Overwrite);
            vectorised(
                #[inline(always)]
                || {
                    for scores in scores.chunks_exact_mut(n_keys) {
                        softmax(scores, shape.softcap);
                    }
                },
            );
            multiply(y, Matrix::new(scores, group, n_keys), v, 1.0, Overwrite);
        }
    });
}

#[inline(always)]
fn softmax(scores: &mut [f32], softcap: Option<f32>) {
    if let Some(cap) = softcap {
        for score in &mut *scores {
            *score = cap * tanh(*score / cap);
        }
    }
    let largest = maximum(scores);
    let inverse = 1.0 / exponentials(scores, largest);
    for p in scores {
        *p *= inverse;
    }
}
