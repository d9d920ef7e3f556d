//! Partial sums per block in eight `f64` lanes, added up in block order.

use crate::blocks::ELEMENTS;
use crate::vector::vectorised;
use rayon::prelude::*;

pub(super) fn global_norm(gradients: &[f32]) -> f64 {
    let squares: Vec<f64> = gradients
        .par_chunks(ELEMENTS)
        .map(|block| {
            vectorised(
                #[inline(always)]
                || sum_of_squares(block),
            )
        })
        .collect();
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
