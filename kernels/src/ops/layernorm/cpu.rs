//! Row after row inside fixed blocks of rows: the statistics first, then one pass that writes. Backward reads dy and x
//! once for all three gradients.

use crate::vector::{dot, dot3_centred, sum_of, vectorised};
use crate::{Write, blocks};
use rayon::prelude::*;

pub(super) fn forward(
    y: &mut [f32],
    mean: &mut [f32],
    rstd: &mut [f32],
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
) {
    let width = weight.len();
    let block_rows = blocks::rows_of(width);
    let statistics = mean.par_chunks_mut(block_rows).zip(rstd.par_chunks_mut(block_rows));
    let rows = y.par_chunks_mut(block_rows * width).zip(x.par_chunks(block_rows * width));
    rows.zip(statistics).for_each(|((y, x), (mean, rstd))| {
        vectorised(
            #[inline(always)]
            || {
                let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width));
                for ((y, x), (mean, rstd)) in rows.zip(mean.iter_mut().zip(rstd)) {
                    (*mean, *rstd) = forward_row(y, x, weight, bias, epsilon);
                }
            },
        );
    });
}

/// Writes y and returns mean and rstd. y holds x − mean in between.
#[inline(always)]
fn forward_row(y: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> (f32, f32) {
    let width = x.len() as f32;
    let mean = sum_of(x) / width;
    for (y, x) in y.iter_mut().zip(x) {
        *y = x - mean;
    }
    let rstd = 1.0 / (dot(y, y) / width + epsilon).sqrt();
    for ((y, weight), bias) in y.iter_mut().zip(weight).zip(bias) {
        *y = *y * rstd * weight + bias;
    }
    (mean, rstd)
}

#[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
pub(super) fn backward(
    dx: &mut [f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    mean: &[f32],
    rstd: &[f32],
    weight: &[f32],
    write: Write,
    write_weight: Write,
) {
    let width = weight.len();
    let block_rows = blocks::rows_of(width);
    let block = block_rows * width;
    let statistics = mean.par_chunks(block_rows).zip(rstd.par_chunks(block_rows));
    let rows = dx.par_chunks_mut(block).zip(dy.par_chunks(block)).zip(x.par_chunks(block));
    let totals = &mut [dweight, dbias];
    blocks::add_partial_sums(
        totals,
        rows.zip(statistics),
        write_weight,
        |(((dx, dy), x), (mean, rstd)), sums| {
            let (dweight, dbias) = sums.split_at_mut(width);
            vectorised(
                #[inline(always)]
                || {
                    let rows = dx.chunks_exact_mut(width).zip(dy.chunks_exact(width));
                    let rows = rows.zip(x.chunks_exact(width)).zip(mean.iter().zip(rstd));
                    for (((dx, dy), x), (&mean, &rstd)) in rows {
                        backward_row(dx, dweight, dbias, dy, x, mean, rstd, weight, write);
                    }
                },
            );
        },
    );
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
fn backward_row(
    dx: &mut [f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    mean: f32,
    rstd: f32,
    weight: &[f32],
    write: Write,
) {
    let width = weight.len();
    let mean_g = dot(dy, weight) / width as f32;
    let mean_gx = dot3_centred(dy, weight, x, mean) * rstd / width as f32;
    // Equal lengths that the compiler can see: no bounds checks below.
    let (dx, dy, x) = (&mut dx[..width], &dy[..width], &x[..width]);
    let (dweight, dbias) = (&mut dweight[..width], &mut dbias[..width]);
    let keep = write == Write::Accumulate;
    for i in 0..width {
        let normal = (x[i] - mean) * rstd;
        let gradient = rstd * (dy[i] * weight[i] - mean_g - normal * mean_gx);
        dx[i] = if keep { dx[i] + gradient } else { gradient };
        dweight[i] += dy[i] * normal;
        dbias[i] += dy[i];
    }
}
