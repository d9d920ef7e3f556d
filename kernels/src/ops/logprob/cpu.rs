//! Chunk after chunk of rows; inside a chunk, products and rows run in parallel.

use super::{Inputs, LOGITS_BYTES_MAX, Shape};
use crate::elementary::{exp, tanh};
use crate::vector::{log_sum_exp, vectorised};
use crate::{Write, blocks, matmul};
use rayon::prelude::*;

/// A chunk is never longer: 512 rows keep a vocabulary of thousands in the last-level cache.
const CHUNK_ROWS_MAX: usize = 512;

fn chunk_rows(vocabulary: usize) -> usize {
    (LOGITS_BYTES_MAX / (4 * vocabulary)).clamp(1, CHUNK_ROWS_MAX)
}

fn matmul_shape(rows: usize, shape: Shape) -> matmul::Shape {
    matmul::Shape { rows, inputs: shape.width, outputs: shape.vocabulary }
}

/// Memory for the logits of all rows, if they fit, or else of one chunk, which every chunk then uses in turn.
struct Logits<'a> {
    memory: &'a mut [f32],
    all: bool,
}

impl<'a> Logits<'a> {
    fn new(memory: &'a mut Vec<f32>, shape: Shape) -> Self {
        let all = shape.rows * shape.vocabulary;
        let fits = 4 * all <= LOGITS_BYTES_MAX;
        let len = if fits {
            all
        } else {
            chunk_rows(shape.vocabulary).min(shape.rows) * shape.vocabulary
        };
        memory.resize(len, 0.0);
        Self { memory, all: fits }
    }

    /// The logits of `n_rows` rows from `first_row` on.
    fn of(&mut self, first_row: usize, n_rows: usize, vocabulary: usize) -> &mut [f32] {
        let start = if self.all { first_row * vocabulary } else { 0 };
        &mut self.memory[start..][..n_rows * vocabulary]
    }
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
        let logits = memory.of(c * chunk, logp.len(), vocabulary);
        let product = matmul_shape(logp.len(), shape);
        matmul::forward(logits, hidden, inputs.head, product, Write::Overwrite);
        let rows = logp.par_iter_mut().zip(lse).zip(targets).zip(logits.par_chunks_mut(vocabulary));
        rows.for_each(|(((logp, lse), &target), logits)| {
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

pub(super) fn backward(
    dhidden: &mut [f32],
    dhead: &mut [f32],
    dlogp: &[f32],
    lse: &[f32],
    kept: &mut Vec<f32>,
    inputs: Inputs,
    shape: Shape,
) {
    let Shape { rows, width, vocabulary, softcap } = shape;
    let chunk = chunk_rows(vocabulary);
    let computed = kept.len() == rows * vocabulary;
    let mut memory = Logits::new(kept, shape);
    let chunks = dlogp.chunks(chunk).zip(lse.chunks(chunk)).zip(inputs.targets.chunks(chunk));
    let chunks =
        chunks.zip(inputs.hidden.chunks(chunk * width)).zip(dhidden.chunks_mut(chunk * width));
    for (c, ((((dlogp, lse), targets), hidden), dhidden)) in chunks.enumerate() {
        let logits = memory.of(c * chunk, dlogp.len(), vocabulary);
        let product = matmul_shape(dlogp.len(), shape);
        if !computed {
            matmul::forward(logits, hidden, inputs.head, product, Write::Overwrite);
        }
        let rows = logits.par_chunks_mut(vocabulary).zip(dlogp).zip(lse).zip(targets);
        rows.for_each(|(((logits, &dlogp), &lse), &target)| {
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
        matmul::backward_input(dhidden, logits, inputs.head, product, Write::Overwrite);
        matmul::backward_weight(dhead, logits, hidden, product);
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
