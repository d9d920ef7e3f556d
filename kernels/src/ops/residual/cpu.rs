//! Element-wise in fixed blocks.

use crate::blocks::ELEMENTS;
use crate::vector::vectorised;
use rayon::prelude::*;

pub(super) fn add(stream: &mut [f32], branch: &[f32]) {
    stream.par_chunks_mut(ELEMENTS).zip(branch.par_chunks(ELEMENTS)).for_each(
        |(stream, branch)| {
            vectorised(
                #[inline(always)]
                || add_block(stream, branch),
            );
        },
    );
}

#[inline(always)]
fn add_block(stream: &mut [f32], branch: &[f32]) {
    for (stream, branch) in stream.iter_mut().zip(branch) {
        *stream += branch;
    }
}
