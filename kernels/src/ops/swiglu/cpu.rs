//! Element-wise in fixed blocks.

use crate::blocks::ELEMENTS;
use crate::vector::{exp, vectorised};
use rayon::prelude::*;

pub(super) fn forward(y: &mut [f32], gate: &[f32], up: &[f32]) {
    let blocks =
        y.par_chunks_mut(ELEMENTS).zip(gate.par_chunks(ELEMENTS)).zip(up.par_chunks(ELEMENTS));
    blocks.for_each(|((y, gate), up)| {
        vectorised(
            #[inline(always)]
            || {
                for ((y, &gate), up) in y.iter_mut().zip(gate).zip(up) {
                    *y = gate * logistic(gate) * up;
                }
            },
        );
    });
}

pub(super) fn backward(dgate: &mut [f32], dup: &mut [f32], dy: &[f32], gate: &[f32], up: &[f32]) {
    let gradients = dgate
        .par_chunks_mut(ELEMENTS)
        .zip(dup.par_chunks_mut(ELEMENTS))
        .zip(dy.par_chunks(ELEMENTS));
    let blocks = gradients.zip(gate.par_chunks(ELEMENTS)).zip(up.par_chunks(ELEMENTS));
    blocks.for_each(|((((dgate, dup), dy), gate), up)| {
        vectorised(
            #[inline(always)]
            || {
                let gradients = dgate.iter_mut().zip(dup).zip(dy);
                for ((((dgate, dup), &dy), &gate), &up) in gradients.zip(gate).zip(up) {
                    let sigma = logistic(gate);
                    *dup = dy * gate * sigma;
                    *dgate = dy * up * sigma * (1.0 + gate * (1.0 - sigma));
                }
            },
        );
    });
}

/// σ(x) = 1/(1 + e⁻ˣ); for x below −88 it stays at σ(−88) = 6e-39.
#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}
