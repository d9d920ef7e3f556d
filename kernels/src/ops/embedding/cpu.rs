//! Gather in blocks of rows; scatter row after row on one thread, because rows may share a token.

use crate::blocks;
use rayon::prelude::*;

pub(super) fn forward(y: &mut [f32], table: &[f32], ids: &[u32], width: usize) {
    let block_rows = blocks::rows_of(width);
    y.par_chunks_mut(block_rows * width).zip(ids.par_chunks(block_rows)).for_each(|(y, ids)| {
        for (y, &id) in y.chunks_exact_mut(width).zip(ids) {
            y.copy_from_slice(&table[id as usize * width..][..width]);
        }
    });
}

pub(super) fn backward(dtable: &mut [f32], dy: &[f32], ids: &[u32], width: usize) {
    for (dy, &id) in dy.chunks_exact(width).zip(ids) {
        let row = &mut dtable[id as usize * width..][..width];
        row.iter_mut().zip(dy).for_each(|(total, dy)| *total += dy);
    }
}
