//! How work is cut so that results do not depend on the number of threads.
//!
//! A block has a fixed size; which thread computes it is rayon's choice and leaves no trace in the bytes.
//! Reductions over rows go through one partial sum per block, added up in block order.

use crate::vector::vectorised;
use crate::{Write, scratch};
use rayon::prelude::*;

/// Elements of one block of an element-wise operation: 64 KiB, inside any second-level cache.
pub(crate) const ELEMENTS: usize = 16 * 1024;

/// Rows of `width` elements that make up about [`ELEMENTS`], at least one.
pub(crate) fn rows_of(width: usize) -> usize {
    (ELEMENTS / width.max(1)).max(1)
}

/// Adds up one partial sum per block: runs `work` with every block's data and a zeroed vector as long as all
/// `totals` together, then adds the vectors to `totals`, or to zero in their place, in block order.
pub(crate) fn add_partial_sums<D: Send>(
    totals: &mut [&mut [f32]],
    blocks: impl IndexedParallelIterator<Item = D>,
    write: Write,
    work: impl Fn(D, &mut [f32]) + Sync,
) {
    if write == Write::Overwrite {
        totals.iter_mut().for_each(|total| total.fill(0.0));
    }
    let width: usize = totals.iter().map(|total| total.len()).sum();
    if width == 0 {
        return;
    }
    scratch::with(blocks.len() * width, |partials| {
        partials.par_chunks_mut(width).zip(blocks).for_each(|(sum, block)| {
            sum.fill(0.0);
            work(block, sum);
        });
        for sum in partials.chunks_exact(width) {
            let mut rest = sum;
            for total in totals.iter_mut() {
                let (sum, others) = rest.split_at(total.len());
                vectorised(
                    #[inline(always)]
                    || add(total, sum),
                );
                rest = others;
            }
        }
    });
}

/// total += terms, element by element.
#[inline(always)]
pub(crate) fn add(total: &mut [f32], terms: &[f32]) {
    for (total, term) in total.iter_mut().zip(terms) {
        *total += term;
    }
}

/// values ← 0.
pub(crate) fn clear(values: &mut [f32]) {
    values.par_chunks_mut(ELEMENTS).for_each(|block| block.fill(0.0));
}

/// values ← factor·values.
pub(crate) fn scale(values: &mut [f32], factor: f32) {
    values.par_chunks_mut(ELEMENTS).for_each(|block| {
        vectorised(
            #[inline(always)]
            || {
                for value in block {
                    *value *= factor;
                }
            },
        );
    });
}
