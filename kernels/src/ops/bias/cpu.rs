//! Row after row inside fixed blocks of rows.

use crate::vector::vectorised;
use crate::{Write, blocks};
use rayon::prelude::*;

pub(super) fn forward(y: &mut [f32], bias: &[f32]) {
    let width = bias.len();
    y.par_chunks_mut(blocks::rows_of(width) * width.max(1)).for_each(|y| {
        vectorised(
            #[inline(always)]
            || {
                for y in y.chunks_exact_mut(width) {
                    blocks::add(y, bias);
                }
            },
        );
    });
}

pub(super) fn backward(dbias: &mut [f32], dy: &[f32], write: Write) {
    let width = dbias.len();
    let blocks = dy.par_chunks(blocks::rows_of(width) * width.max(1));
    blocks::add_partial_sums(&mut [dbias], blocks, write, |dy, sum| {
        vectorised(
            #[inline(always)]
            || {
                for dy in dy.chunks_exact(width) {
                    blocks::add(sum, dy);
                }
            },
        );
    });
}
