//! Partial sums of a fixed number of parts in eight `f64` lanes, added up in order.

use crate::blocks::ELEMENTS;
use crate::vector::vectorised;
use rayon::prelude::*;

/// Partial sums that a norm is made of, at most: a number that does not depend on the number of threads, and small enough
/// for the stack.
const PARTS: usize = 256;

pub(super) fn global_norm(gradients: &[f32]) -> f64 {
    let part = gradients.len().div_ceil(PARTS).next_multiple_of(ELEMENTS);
    let mut squares = [0.0; PARTS];
    let parts = squares.par_iter_mut().zip(gradients.par_chunks(part.max(1)));
    parts.for_each(|(square, part)| {
        for block in part.chunks(ELEMENTS) {
            *square += vectorised(
                #[inline(always)]
                || sum_of_squares(block),
            );
        }
    });
    squares.iter().sum::<f64>().sqrt()
}

#[inline(always)]
fn sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(value) * f64::from(value);
        }
    }
    let rest: f64 = rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    lanes.iter().sum::<f64>() + rest
}
