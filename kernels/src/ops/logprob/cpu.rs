//! Chunk after chunk of rows; inside a chunk, products and rows run in parallel.

use super::{Inputs, LOGITS_BYTES_MAX, Shape};
use crate::vector::{exp, log_sum_exp, vectorised};
use crate::{Write, matmul};
use rayon::prelude::*;

/// A chunk is never longer: 512 rows keep a vocabulary of thousands in the last-level cache.
const CHUNK_ROWS_MAX: usize = 512;

fn chunk_rows(vocabulary: usize) -> usize {
    (LOGITS_BYTES_MAX / (4 * vocabulary)).clamp(1, CHUNK_ROWS_MAX)
}

fn matmul_shape(rows: usize, shape: Shape) -> matmul::Shape {
    matmul::Shape { rows, inputs: shape.width, outputs: shape.vocabulary }
}

pub(super) fn forward(logp: &mut [f32], lse: &mut [f32], inputs: Inputs, shape: Shape) {
    let Shape { rows, width, vocabulary } = shape;
    let chunk = chunk_rows(vocabulary);
    let mut logits = vec![0.0; chunk.min(rows) * vocabulary];
    let chunks =
        logp.chunks_mut(chunk).zip(lse.chunks_mut(chunk)).zip(inputs.targets.chunks(chunk));
    for (((logp, lse), targets), hidden) in chunks.zip(inputs.hidden.chunks(chunk * width)) {
        let logits = &mut logits[..logp.len() * vocabulary];
        matmul::forward(
            logits,
            hidden,
            inputs.head,
            matmul_shape(logp.len(), shape),
            Write::Overwrite,
        );
        let rows = logp.par_iter_mut().zip(lse).zip(targets).zip(logits.par_chunks(vocabulary));
        rows.for_each(|(((logp, lse), &target), logits)| {
            let exact = vectorised(
                #[inline(always)]
                || log_sum_exp(logits),
            );
            *lse = exact as f32;
            *logp = (f64::from(logits[target as usize]) - exact) as f32;
        });
    }
}

pub(super) fn backward(
    dhidden: &mut [f32],
    dhead: &mut [f32],
    dlogp: &[f32],
    lse: &[f32],
    inputs: Inputs,
    shape: Shape,
) {
    let Shape { rows, width, vocabulary } = shape;
    let chunk = chunk_rows(vocabulary);
    let mut logits = vec![0.0; chunk.min(rows) * vocabulary];
    let chunks = dlogp.chunks(chunk).zip(lse.chunks(chunk)).zip(inputs.targets.chunks(chunk));
    let chunks =
        chunks.zip(inputs.hidden.chunks(chunk * width)).zip(dhidden.chunks_mut(chunk * width));
    for ((((dlogp, lse), targets), hidden), dhidden) in chunks {
        let logits = &mut logits[..dlogp.len() * vocabulary];
        let product = matmul_shape(dlogp.len(), shape);
        matmul::forward(logits, hidden, inputs.head, product, Write::Overwrite);
        let rows = logits.par_chunks_mut(vocabulary).zip(dlogp).zip(lse).zip(targets);
        rows.for_each(|(((logits, &dlogp), &lse), &target)| {
            vectorised(
                #[inline(always)]
                || logits.iter_mut().for_each(|l| *l = -dlogp * exp(*l - lse)),
            );
            logits[target as usize] += dlogp;
        });
        matmul::backward_input(dhidden, logits, inputs.head, product, Write::Overwrite);
        matmul::backward_weight(dhead, logits, hidden, product);
    }
}
