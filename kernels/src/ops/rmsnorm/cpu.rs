//! One pass for the statistics and one to write, row after row inside fixed blocks of rows.

use crate::vector::{dot, dot3, vectorised};
use crate::{Write, blocks};
use rayon::prelude::*;

pub(super) fn forward(y: &mut [f32], rstd: &mut [f32], x: &[f32], weight: &[f32], epsilon: f32) {
    let width = weight.len();
    let block_rows = blocks::rows_of(width);
    let blocks = y.par_chunks_mut(block_rows * width).zip(rstd.par_chunks_mut(block_rows));
    blocks.zip(x.par_chunks(block_rows * width)).for_each(|((y, rstd), x)| {
        vectorised(
            #[inline(always)]
            || forward_rows(y, rstd, x, weight, epsilon),
        );
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

pub(super) fn backward(
    dx: &mut [f32],
    dweight: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
    write: Write,
) {
    let width = weight.len();
    let block_rows = blocks::rows_of(width);
    let block = block_rows * width;
    dx.par_chunks_mut(block)
        .zip(dy.par_chunks(block))
        .zip(x.par_chunks(block))
        .zip(rstd.par_chunks(block_rows))
        .for_each(|(((dx, dy), x), rstd)| {
            vectorised(
                #[inline(always)]
                || backward_rows(dx, dy, x, weight, rstd, write),
            );
        });
    blocks::add_partial_sums(dweight, rstd.len().div_ceil(block_rows), |index, sum| {
        let rows = index * block_rows..((index + 1) * block_rows).min(rstd.len());
        let (first, end) = (rows.start * width, rows.end * width);
        vectorised(
            #[inline(always)]
            || weight_rows(sum, &dy[first..end], &x[first..end], &rstd[rows]),
        );
    });
}

#[inline(always)]
fn backward_rows(
    dx: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
    write: Write,
) {
    let width = weight.len();
    let rows =
        dx.chunks_exact_mut(width).zip(dy.chunks_exact(width)).zip(x.chunks_exact(width)).zip(rstd);
    for (((dx, dy), x), &rstd) in rows {
        let projection = dot3(dy, weight, x) / width as f32 * rstd * rstd;
        if write == Write::Overwrite {
            dx.fill(0.0);
        }
        for (((dx, dy), x), weight) in dx.iter_mut().zip(dy).zip(x).zip(weight) {
            *dx += rstd * (dy * weight - x * projection);
        }
    }
}

#[inline(always)]
fn weight_rows(dweight: &mut [f32], dy: &[f32], x: &[f32], rstd: &[f32]) {
    let width = dweight.len();
    for ((dy, x), &rstd) in dy.chunks_exact(width).zip(x.chunks_exact(width)).zip(rstd) {
        for ((dweight, dy), x) in dweight.iter_mut().zip(dy).zip(x) {
            *dweight += dy * x * rstd;
        }
    }
}
