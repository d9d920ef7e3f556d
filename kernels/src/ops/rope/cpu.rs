//! Rotation of whole rows inside fixed blocks of rows.

use super::Table;
use crate::blocks;
use crate::vector::vectorised;
use rayon::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

pub(super) fn rotate(x: &mut [f32], positions: &[u32], table: &Table, direction: Direction) {
    if x.is_empty() {
        return;
    }
    let width = x.len() / positions.len();
    let block_rows = blocks::rows_of(width);
    let sign = if direction == Direction::Forward { 1.0 } else { -1.0 };
    x.par_chunks_mut(block_rows * width).zip(positions.par_chunks(block_rows)).for_each(
        |(x, positions)| {
            vectorised(
                #[inline(always)]
                || rotate_rows(x, positions, width, table, sign),
            );
        },
    );
}

#[inline(always)]
fn rotate_rows(x: &mut [f32], positions: &[u32], width: usize, table: &Table, sign: f32) {
    let half = table.half;
    for (row, &position) in x.chunks_exact_mut(width).zip(positions) {
        let cos = &table.cos[position as usize * half..][..half];
        let sin = &table.sin[position as usize * half..][..half];
        for head in row.chunks_exact_mut(2 * half) {
            let (low, high) = head.split_at_mut(half);
            for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                (*low, *high) =
                    (*low * cos - *high * (sign * sin), *high * cos + *low * (sign * sin));
            }
        }
    }
}
