//! How work is cut so that results do not depend on the number of threads.
//!
//! A block has a fixed size; which thread computes it is rayon's choice and leaves no trace in the bytes.
//! Reductions over rows go through one partial sum per block, added up in block order.

use rayon::prelude::*;

/// Elements of one block of an element-wise operation: 64 KiB, inside any second-level cache.
pub(crate) const ELEMENTS: usize = 16 * 1024;

/// Rows of `width` elements that make up about [`ELEMENTS`], at least one.
pub(crate) fn rows_of(width: usize) -> usize {
    (ELEMENTS / width.max(1)).max(1)
}

/// Σ over blocks of `partial(block)`, each a vector of `width` numbers, added to `total` in block order.
pub(crate) fn add_partial_sums(
    total: &mut [f32],
    n_blocks: usize,
    partial: impl Fn(usize, &mut [f32]) + Sync,
) {
    let width = total.len();
    let mut partials = vec![0.0; n_blocks * width];
    partials.par_chunks_mut(width.max(1)).enumerate().for_each(|(block, sum)| partial(block, sum));
    for sum in partials.chunks_exact(width.max(1)) {
        total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum);
    }
}
