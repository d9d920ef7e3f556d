//! Blocks of query rows, the keys they see, and the matrices that products run on.
//!
//! A [`Tile`] is the work on one block of query rows and one key head. The rows of all query heads of the group are
//! stacked: stacked row i·group + j is query row i, head j of the group. Keys are gathered from prefix and segment.
//! Where a group is one head, and where the keys follow each other, the matrices are views of the rows in place. No
//! arithmetic but the sums in [`Tile::add_to_keys`].

use super::{Segment, Shape};
use crate::matrix::{Matrix, MatrixMut, multiply};
use crate::vector::LANES;
use crate::{Write, blocks};
use std::ops::Range;

/// Query rows whose scores exist at the same time.
const BLOCK_ROWS: usize = 64;

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
        let (segment, shape) = (*segment, *shape);
        (0..segment.len).step_by(BLOCK_ROWS).map(move |offset| {
            Self::rows_of(segment, offset..segment.len.min(offset + BLOCK_ROWS), &shape)
        })
    }

    /// All rows of a segment, of which there is one: a block once it is small enough.
    pub(super) fn whole(segment: &Segment, shape: &Shape) -> Self {
        Self::rows_of(*segment, 0..segment.len, shape)
    }

    /// Two parts, unless this is a block already: the first one ends where a block does.
    pub(super) fn halves(&self, shape: &Shape) -> Option<[Self; 2]> {
        let n_blocks = self.len.div_ceil(BLOCK_ROWS);
        let first = self.start - self.segment.start;
        let middle = first + n_blocks / 2 * BLOCK_ROWS;
        let of = |rows| Self::rows_of(self.segment, rows, shape);
        (n_blocks > 1).then(|| [of(first..middle), of(middle..first + self.len)])
    }

    fn rows_of(segment: Segment, rows: Range<usize>, shape: &Shape) -> Self {
        Self {
            segment,
            start: segment.start + rows.start,
            len: rows.len(),
            first_key: shape.first_visible(segment.prefix_len + rows.start),
        }
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

    /// The first of [`Self::keys`] if they follow each other.
    fn run(&self) -> Option<usize> {
        let Segment { start, prefix_start, prefix_len, .. } = self.segment;
        if self.first_key >= prefix_len {
            return Some(start + self.first_key - prefix_len);
        }
        (prefix_start + prefix_len == start).then_some(prefix_start + self.first_key)
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

    /// Which of the keys the block's i-th query sees.
    pub(super) fn visible(&self, i: usize) -> Range<usize> {
        self.block.visible(i, self.shape)
    }

    /// Keys that the block's queries see between them.
    pub(super) fn n_keys(&self) -> usize {
        self.visible(self.block.len - 1).end
    }

    /// Where rows of a square \[n_stacked, n_keys\] begin: whole vectors apart.
    pub(super) fn square_stride(&self) -> usize {
        self.n_keys().next_multiple_of(LANES)
    }

    /// Room that [`Self::stack`] needs: none where a group is a single head.
    pub(super) fn stacked_len(&self) -> usize {
        if self.shape.group() == 1 { 0 } else { self.n_stacked() * self.shape.head_dim }
    }

    /// Room that [`Self::gather`] needs: none where the keys lie in one run of rows.
    pub(super) fn gathered_len(&self) -> usize {
        if self.block.run().is_some() { 0 } else { self.n_keys() * self.shape.head_dim }
    }

    /// The block's rows of `data` \[rows, heads, head_dim\], stacked: \[n_stacked, head_dim\].
    pub(super) fn stack<'b>(&self, buffer: &'b mut [f32], data: &'b [f32]) -> Matrix<'b> {
        let (group, head_dim) = (self.shape.group(), self.shape.head_dim);
        if group == 1 {
            let data = &data[self.query(self.block.start).start..];
            return Matrix::strided(data, self.block.len, head_dim, self.shape.q_width());
        }
        for (row, stacked) in self.block.rows().zip(buffer.chunks_exact_mut(group * head_dim)) {
            stacked.copy_from_slice(&data[self.query(row)]);
        }
        Matrix::new(buffer, self.n_stacked(), head_dim)
    }

    /// Writes a product \[n_stacked, head_dim\] into the block's own rows, \[len, group·head_dim\].
    pub(super) fn unstack(
        &self,
        mut target: MatrixMut,
        buffer: &mut [f32],
        product: impl FnOnce(MatrixMut),
    ) {
        if self.shape.group() == 1 {
            return product(target);
        }
        product(MatrixMut::new(buffer, self.n_stacked(), self.shape.head_dim));
        let width = self.shape.group() * self.shape.head_dim;
        for (i, stacked) in buffer.chunks_exact(width).enumerate() {
            target.row(i).copy_from_slice(stacked);
        }
    }

    /// The keys' rows of `data` \[rows, kv_heads, head_dim\]: \[n_keys, head_dim\].
    pub(super) fn gather<'b>(&self, buffer: &'b mut [f32], data: &'b [f32]) -> Matrix<'b> {
        let (n_keys, head_dim) = (self.n_keys(), self.shape.head_dim);
        if let Some(first) = self.block.run() {
            let data = &data[self.key(first).start..];
            return Matrix::strided(data, n_keys, head_dim, self.shape.kv_width());
        }
        for (key, row) in self.block.keys().zip(buffer.chunks_exact_mut(head_dim)) {
            row.copy_from_slice(&data[self.key(key)]);
        }
        Matrix::new(buffer, n_keys, head_dim)
    }

    /// Adds scale·a·b \[n_keys, head_dim\] to the keys' rows of `target`, a key head's rows from `first_row` on.
    pub(super) fn add_to_keys(
        &self,
        target: &mut MatrixMut,
        first_row: usize,
        buffer: &mut [f32],
        (a, b, scale): (Matrix, Matrix, f32),
    ) {
        let (n_keys, head_dim) = (self.n_keys(), self.shape.head_dim);
        if let Some(first) = self.block.run() {
            let first = first - first_row;
            return multiply(target.rows(first..first + n_keys), a, b, scale, Write::Accumulate);
        }
        multiply(MatrixMut::new(buffer, n_keys, head_dim), a, b, scale, Write::Overwrite);
        for (key, row) in self.block.keys().zip(buffer.chunks_exact(head_dim)) {
            blocks::add(target.row(key - first_row), row);
        }
    }

    /// Where the group's query heads lie in a row of queries.
    pub(super) fn query(&self, row: usize) -> Range<usize> {
        let width = self.shape.group() * self.shape.head_dim;
        let start = row * self.shape.q_width() + self.kv_head * width;
        start..start + width
    }

    /// Where the key head lies in a row of keys.
    fn key(&self, row: usize) -> Range<usize> {
        let start = row * self.shape.kv_width() + self.kv_head * self.shape.head_dim;
        start..start + self.shape.head_dim
    }
}

/// Two parts of the segments that share no rows: no segment of one sees a row of the other. Cut as near the middle as
/// that allows; none for segments that all hang together.
pub(super) fn apart(segments: &[Segment]) -> Option<(&[Segment], &[Segment])> {
    let (mut best, mut first_seen) = (None, usize::MAX);
    for (i, segment) in segments.iter().enumerate().skip(1).rev() {
        if segment.prefix_len > 0 {
            first_seen = first_seen.min(segment.prefix_start);
        }
        let distance = i.abs_diff(segments.len() / 2);
        if first_seen >= segment.start && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, i));
        }
    }
    best.map(|(_, i)| segments.split_at(i))
}

/// All parts that share no rows.
pub(super) fn families(segments: &[Segment]) -> Vec<&[Segment]> {
    match apart(segments) {
        Some((first, rest)) => [families(first), families(rest)].concat(),
        None => vec![segments],
    }
}
