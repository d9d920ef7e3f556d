//! Chunk after chunk of rows; inside a chunk, products and rows run in parallel.

use super::{Inputs, LOGITS_BYTES_MAX, Shape};
use crate::elementary::{exp, tanh};
use crate::matrix::{Matrix, MatrixMut, multiply_in_tiles};
use crate::vector::{log_sum_exp, vectorised};
use crate::{Write, blocks};
use rayon::prelude::*;

/// A chunk is never longer: 512 rows keep a vocabulary of thousands in the last-level cache.
const CHUNK_ROWS_MAX: usize = 512;

fn chunk_rows(vocabulary: usize) -> usize {
    (LOGITS_BYTES_MAX / (4 * stride(vocabulary))).clamp(1, CHUNK_ROWS_MAX)
}

/// Elements from one row of logits to the next: an odd number of cache lines, because the rows of a vocabulary of 2ⁿ
/// would all lie in the same sets of the cache.
fn stride(vocabulary: usize) -> usize {
    const LINE: usize = 16;
    LINE * (vocabulary.div_ceil(LINE) | 1)
}

/// Memory for the logits of all rows, if they fit, or else of one chunk, which every chunk then uses in turn.
struct Logits<'a> {
    memory: &'a mut [f32],
    all: bool,
    stride: usize,
}

impl<'a> Logits<'a> {
    fn new(memory: &'a mut Vec<f32>, shape: Shape) -> Self {
        let (fits, stride) = (fits(shape), stride(shape.vocabulary));
        let rows = if fits { shape.rows } else { chunk_rows(shape.vocabulary).min(shape.rows) };
        memory.resize(rows * stride, 0.0);
        Self { memory, all: fits, stride }
    }

    /// The logits of `n_rows` rows from `first_row` on, one row every `stride` elements.
    fn of(&mut self, first_row: usize, n_rows: usize) -> &mut [f32] {
        let start = if self.all { first_row * self.stride } else { 0 };
        &mut self.memory[start..][..n_rows * self.stride]
    }
}

/// Elements of all logits.
pub(super) fn kept_len(shape: Shape) -> usize {
    shape.rows * stride(shape.vocabulary)
}

fn fits(shape: Shape) -> bool {
    4 * kept_len(shape) <= LOGITS_BYTES_MAX
}

/// logits = hidden·headᵀ for a chunk of rows.
fn project(logits: &mut [f32], hidden: &[f32], inputs: Inputs, shape: Shape) {
    let Shape { width, vocabulary, .. } = shape;
    let (rows, stride) = (hidden.len() / width, stride(vocabulary));
    let head = Matrix::new(inputs.head, vocabulary, width);
    let logits = MatrixMut::strided(logits, rows, vocabulary, stride);
    multiply_in_tiles(
        logits,
        Matrix::new(hidden, rows, width),
        head.transposed(),
        Write::Overwrite,
    );
}

pub(super) fn forward(
    logp: &mut [f32],
    lse: &mut [f32],
    kept: &mut Vec<f32>,
    inputs: Inputs,
    shape: Shape,
) {
    let Shape { width, vocabulary, softcap, .. } = shape;
    let chunk = chunk_rows(vocabulary);
    let mut memory = Logits::new(kept, shape);
    let chunks =
        logp.chunks_mut(chunk).zip(lse.chunks_mut(chunk)).zip(inputs.targets.chunks(chunk));
    let chunks = chunks.zip(inputs.hidden.chunks(chunk * width)).enumerate();
    for (c, (((logp, lse), targets), hidden)) in chunks {
        let logits = memory.of(c * chunk, logp.len());
        project(logits, hidden, inputs, shape);
        let rows = logits.par_chunks_mut(stride(vocabulary));
        rows.zip(logp).zip(lse).zip(targets).for_each(|(((logits, logp), lse), &target)| {
            let logits = &mut logits[..vocabulary];
            let exact = vectorised(
                #[inline(always)]
                || {
                    if let Some(cap) = softcap {
                        bound(logits, cap);
                    }
                    log_sum_exp(logits)
                },
            );
            *lse = exact as f32;
            *logp = (f64::from(logits[target as usize]) - exact) as f32;
        });
    }
}

/// l → cap·tanh(l/cap).
#[inline(always)]
fn bound(logits: &mut [f32], cap: f32) {
    for logit in logits {
        *logit = cap * tanh(*logit / cap);
    }
}

#[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
pub(super) fn backward(
    dhidden: &mut [f32],
    dhead: &mut [f32],
    dlogp: &[f32],
    lse: &[f32],
    kept: &mut Vec<f32>,
    inputs: Inputs,
    shape: Shape,
    write: Write,
) {
    let Shape { width, vocabulary, softcap, .. } = shape;
    let chunk = chunk_rows(vocabulary);
    if write == Write::Overwrite && dlogp.is_empty() {
        blocks::clear(dhead);
    }
    let computed = fits(shape) && kept.len() == kept_len(shape);
    let mut memory = Logits::new(kept, shape);
    let chunks = dlogp.chunks(chunk).zip(lse.chunks(chunk)).zip(inputs.targets.chunks(chunk));
    let chunks =
        chunks.zip(inputs.hidden.chunks(chunk * width)).zip(dhidden.chunks_mut(chunk * width));
    for (c, ((((dlogp, lse), targets), hidden), dhidden)) in chunks.enumerate() {
        let logits = memory.of(c * chunk, dlogp.len());
        if !computed {
            project(logits, hidden, inputs, shape);
        }
        let rows = logits.par_chunks_mut(stride(vocabulary)).zip(dlogp).zip(lse).zip(targets);
        rows.for_each(|(((logits, &dlogp), &lse), &target)| {
            let logits = &mut logits[..vocabulary];
            vectorised(
                #[inline(always)]
                || match softcap {
                    None => row_gradient(logits, dlogp, lse, target as usize),
                    Some(cap) => {
                        if !computed {
                            bound(logits, cap);
                        }
                        capped_row_gradient(logits, dlogp, lse, target as usize, cap);
                    }
                },
            );
        });
        let n_rows = dlogp.len();
        let dlogits = Matrix::strided(logits, n_rows, vocabulary, stride(vocabulary));
        let head = Matrix::new(inputs.head, vocabulary, width);
        let dhidden = MatrixMut::new(dhidden, n_rows, width);
        multiply_in_tiles(dhidden, dlogits, head, Write::Overwrite);
        let hidden = Matrix::new(hidden, n_rows, width);
        let dhead = MatrixMut::new(dhead, vocabulary, width);
        let write = if c == 0 { write } else { Write::Accumulate };
        multiply_in_tiles(dhead, dlogits.transposed(), hidden, write);
    }
    // One element short, they are not taken for logits again, and the next forward does not fill all of them anew.
    kept.pop();
}

/// Logits become dl = dlogp·(1\[v = target\] − softmax(l)ᵥ).
#[inline(always)]
fn row_gradient(logits: &mut [f32], dlogp: f32, lse: f32, target: usize) {
    for logit in &mut *logits {
        *logit = -dlogp * exp(*logit - lse);
    }
    logits[target] += dlogp;
}

/// The same for bounded logits, and through the bound: times 1 − (l/cap)².
#[inline(always)]
fn capped_row_gradient(logits: &mut [f32], dlogp: f32, lse: f32, target: usize, cap: f32) {
    let hit = dlogp * cap_slope(logits[target], cap);
    for logit in &mut *logits {
        *logit = -dlogp * exp(*logit - lse) * cap_slope(*logit, cap);
    }
    logits[target] += hit;
}

#[inline(always)]
fn cap_slope(logit: f32, cap: f32) -> f32 {
    let tanh = logit / cap;
    1.0 - tanh * tanh
}

pub(super) fn cap(logits: &mut [f32], cap: f32) {
    logits.par_chunks_mut(blocks::ELEMENTS).for_each(|block| {
        vectorised(
            #[inline(always)]
            || bound(block, cap),
        );
    });
}
