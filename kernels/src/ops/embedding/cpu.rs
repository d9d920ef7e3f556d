//! Gather in blocks of rows; scatter row after row on one thread, because rows may share a token.

use crate::vector::vectorised;
use crate::{Write, blocks};
use rayon::prelude::*;

pub(super) fn forward(y: &mut [f32], table: &[f32], ids: &[u32], width: usize, write: Write) {
    let block_rows = blocks::rows_of(width);
    y.par_chunks_mut(block_rows * width).zip(ids.par_chunks(block_rows)).for_each(|(y, ids)| {
        vectorised(
            #[inline(always)]
            || {
                for (y, &id) in y.chunks_exact_mut(width).zip(ids) {
                    let row = &table[id as usize * width..][..width];
                    match write {
                        Write::Overwrite => y.copy_from_slice(row),
                        Write::Accumulate => blocks::add(y, row),
                    }
                }
            },
        );
    });
}

pub(super) fn backward(dtable: &mut [f32], dy: &[f32], ids: &[u32], width: usize, write: Write) {
    if write == Write::Overwrite {
        blocks::clear(dtable);
    }
    vectorised(
        #[inline(always)]
        || {
            for (dy, &id) in dy.chunks_exact(width).zip(ids) {
                blocks::add(&mut dtable[id as usize * width..][..width], dy);
            }
        },
    );
}
