//! Row after row inside fixed blocks of rows: the statistic first, then one pass that writes. Backward reads dy and x
//! once for both gradients.

use crate::vector::{dot, dot3, vectorised};
use crate::{Write, blocks, scratch};
use rayon::prelude::*;

pub(super) fn forward(
    y: &mut [f32],
    rstd: &mut [f32],
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    offset: f32,
) {
    let width = weight.len();
    let block_rows = blocks::rows_of(width);
    let blocks = y.par_chunks_mut(block_rows * width).zip(rstd.par_chunks_mut(block_rows));
    with_offset(weight, offset, |weight| {
        blocks.zip(x.par_chunks(block_rows * width)).for_each(|((y, rstd), x)| {
            vectorised(
                #[inline(always)]
                || forward_rows(y, rstd, x, weight, epsilon),
            );
        });
    });
}

#[inline(always)]
fn forward_rows(y: &mut [f32], rstd: &mut [f32], x: &[f32], weight: &[f32], epsilon: f32) {
    let width = weight.len();
    for ((y, x), rstd) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(rstd) {
        *rstd = 1.0 / (dot(x, x) / width as f32 + epsilon).sqrt();
        for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
            *y = x * *rstd * weight;
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
pub(super) fn backward(
    dx: &mut [f32],
    dweight: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
    offset: f32,
    write: Write,
    write_weight: Write,
) {
    let width = weight.len();
    let block_rows = blocks::rows_of(width);
    let block = block_rows * width;
    let rows = dx.par_chunks_mut(block).zip(dy.par_chunks(block)).zip(x.par_chunks(block));
    let rows = rows.zip(rstd.par_chunks(block_rows));
    with_offset(weight, offset, |weight| {
        let totals = &mut [dweight];
        blocks::add_partial_sums(totals, rows, write_weight, |(((dx, dy), x), rstd), dweight| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = dx.chunks_exact_mut(width).zip(dy.chunks_exact(width));
                    let rows = rows.zip(x.chunks_exact(width)).zip(rstd);
                    for (((dx, dy), x), &rstd) in rows {
                        backward_row(dx, dweight, dy, x, weight, rstd, write);
                    }
                },
            );
        });
    });
}

#[inline(always)]
fn backward_row(
    dx: &mut [f32],
    dweight: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: f32,
    write: Write,
) {
    let width = weight.len();
    let projection = dot3(dy, weight, x) / width as f32 * rstd * rstd;
    // Equal lengths that the compiler can see: no bounds checks below.
    let (dx, dy, x, dweight) = (&mut dx[..width], &dy[..width], &x[..width], &mut dweight[..width]);
    let keep = write == Write::Accumulate;
    for i in 0..width {
        let gradient = rstd * (dy[i] * weight[i] - x[i] * projection);
        dx[i] = if keep { dx[i] + gradient } else { gradient };
        dweight[i] += dy[i] * x[i] * rstd;
    }
}

/// Runs `work` with offset + weight.
fn with_offset<R>(weight: &[f32], offset: f32, work: impl FnOnce(&[f32]) -> R) -> R {
    if offset == 0.0 {
        return work(weight);
    }
    scratch::with(weight.len(), |sum| {
        for (sum, weight) in sum.iter_mut().zip(weight) {
            *sum = offset + weight;
        }
        work(sum)
    })
}
