//! Element-wise in fixed blocks.

use crate::blocks::{self, ELEMENTS};
use crate::vector::vectorised;
use rayon::prelude::*;

pub(super) fn add(stream: &mut [f32], branch: &[f32]) {
    stream.par_chunks_mut(ELEMENTS).zip(branch.par_chunks(ELEMENTS)).for_each(
        |(stream, branch)| {
            vectorised(
                #[inline(always)]
                || blocks::add(stream, branch),
            );
        },
    );
}
