//! Blocks of query rows, the keys they see, and the contiguous copies that products run on.
//!
//! A [`Tile`] is the work on one block of query rows and one key head. The rows of all query heads of the group are
//! stacked: stacked row i·group + j is query row i, head j of the group. Keys are gathered from prefix and segment
//! and padded with zeros to a multiple of the vector length. No arithmetic but the sum in [`Tile::scatter_add`].

use super::{Segment, Shape};
use crate::vector::LANES;
use std::ops::Range;

/// Query rows whose scores exist at the same time.
const BLOCK_ROWS: usize = 32;

/// A block of query rows of one segment.
#[derive(Clone, Copy)]
pub(super) struct Block {
    segment: Segment,
    /// First query row.
    pub(super) start: usize,
    /// Number of query rows.
    pub(super) len: usize,
    /// Position of the first key that the block's first query sees. None of its queries sees an earlier one.
    first_key: usize,
}

impl Block {
    /// The blocks of a segment, in order.
    pub(super) fn of(segment: &Segment, shape: &Shape) -> impl Iterator<Item = Self> + use<> {
        let shape = *shape;
        let segment = *segment;
        (0..segment.len).step_by(BLOCK_ROWS).map(move |offset| Self {
            segment,
            start: segment.start + offset,
            len: BLOCK_ROWS.min(segment.len - offset),
            first_key: shape.first_visible(segment.prefix_len + offset),
        })
    }

    fn rows(&self) -> Range<usize> {
        self.start..self.start + self.len
    }

    /// The rows that the block's queries see between them, in the order of their positions: prefix first.
    fn keys(&self) -> impl Iterator<Item = usize> + use<> {
        let Segment { start, prefix_start, prefix_len, .. } = self.segment;
        let prefix = prefix_start + self.first_key.min(prefix_len)..prefix_start + prefix_len;
        let own = start + self.first_key.saturating_sub(prefix_len)..self.start + self.len;
        prefix.chain(own)
    }

    /// Which of [`Self::keys`] the block's i-th query sees.
    pub(super) fn visible(&self, i: usize, shape: &Shape) -> Range<usize> {
        let position = self.segment.prefix_len + (self.start - self.segment.start) + i;
        let first = shape.first_visible(position);
        first - self.first_key..position + 1 - self.first_key
    }
}

/// One block of query rows and one key head.
pub(super) struct Tile<'a> {
    pub(super) block: Block,
    pub(super) kv_head: usize,
    pub(super) shape: &'a Shape,
}

impl Tile<'_> {
    /// Stacked rows: query rows × heads of the group.
    pub(super) fn n_stacked(&self) -> usize {
        self.block.len * self.shape.group()
    }

    /// Which of the gathered keys the block's i-th query sees.
    pub(super) fn visible(&self, i: usize) -> Range<usize> {
        self.block.visible(i, self.shape)
    }

    /// Gathered keys with their padding.
    pub(super) fn n_keys(&self) -> usize {
        self.visible(self.block.len - 1).end.next_multiple_of(LANES)
    }

    /// The block's rows of `data` \[rows, heads, head_dim\], stacked: \[n_stacked, head_dim\].
    pub(super) fn stack<'b>(&self, buffer: &'b mut Vec<f32>, data: &[f32]) -> &'b [f32] {
        let width = self.shape.group() * self.shape.head_dim;
        let stacked = scratch(buffer, self.block.len * width);
        for (row, stacked) in self.block.rows().zip(stacked.chunks_exact_mut(width)) {
            stacked.copy_from_slice(&data[self.query(row)]);
        }
        stacked
    }

    /// The inverse of [`Self::stack`], into rows that begin at `first_row`.
    pub(super) fn unstack(&self, data: &mut [f32], first_row: usize, stacked: &[f32]) {
        let width = self.shape.group() * self.shape.head_dim;
        for (row, stacked) in self.block.rows().zip(stacked.chunks_exact(width)) {
            data[self.query(row - first_row)].copy_from_slice(stacked);
        }
    }

    /// The keys' rows of `data` \[rows, kv_heads, head_dim\]: \[n_keys, head_dim\].
    pub(super) fn gather<'b>(&self, buffer: &'b mut Vec<f32>, data: &[f32]) -> &'b [f32] {
        let gathered = scratch(buffer, self.n_keys() * self.shape.head_dim);
        let mut rows = gathered.chunks_exact_mut(self.shape.head_dim);
        for (key, row) in self.block.keys().zip(&mut rows) {
            row.copy_from_slice(&data[self.key(key)]);
        }
        rows.for_each(|padding| padding.fill(0.0));
        gathered
    }

    /// Adds gathered rows to where they came from, in rows that begin at `first_row`.
    pub(super) fn scatter_add(&self, data: &mut [f32], first_row: usize, gathered: &[f32]) {
        for (key, row) in self.block.keys().zip(gathered.chunks_exact(self.shape.head_dim)) {
            let target = &mut data[self.key(key - first_row)];
            target.iter_mut().zip(row).for_each(|(total, x)| *total += x);
        }
    }

    /// Where the group's query heads lie in a row.
    pub(super) fn query(&self, row: usize) -> Range<usize> {
        let width = self.shape.group() * self.shape.head_dim;
        let start = row * self.shape.q_width() + self.kv_head * width;
        start..start + width
    }

    /// Where the key head lies in a row.
    fn key(&self, row: usize) -> Range<usize> {
        let start = row * self.shape.kv_width() + self.kv_head * self.shape.head_dim;
        start..start + self.shape.head_dim
    }
}

/// The first `len` elements of a buffer that grows when it must; they hold whatever was left there.
pub(super) fn scratch(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Runs of segments that share rows: no segment of one family sees a row of another.
pub(super) fn families(segments: &[Segment]) -> Vec<&[Segment]> {
    let mut firsts: Vec<usize> = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        firsts.push(i);
        if segment.prefix_len > 0 {
            while firsts.last().is_some_and(|&first| segments[first].start > segment.prefix_start) {
                firsts.pop();
            }
        }
    }
    let ends = firsts.iter().skip(1).copied().chain([segments.len()]);
    firsts.iter().zip(ends).map(|(&first, end)| &segments[first..end]).collect()
}
