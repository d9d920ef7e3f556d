//! Row after row: sums of fixed stretches first, then the token inside the stretch that u falls into.

use crate::elementary::exp;
use crate::vector::{LANES, STRETCH, maximum, padded, sum_of_exponentials, vectorised};
use rayon::prelude::*;

pub(super) fn categorical(
    ids: &mut [u32],
    logp: &mut [f32],
    logits: &[f32],
    uniforms: &[f64],
    vocabulary: usize,
) {
    let rows = ids.par_iter_mut().zip(logp).zip(logits.par_chunks(vocabulary)).zip(uniforms);
    rows.for_each_init(Vec::new, |sums, (((id, logp), logits), &uniform)| {
        (*id, *logp) = vectorised(
            #[inline(always)]
            || draw(logits, uniform, sums),
        );
    });
}

#[inline(always)]
fn draw(logits: &[f32], uniform: f64, sums: &mut Vec<f64>) -> (u32, f32) {
    let largest = maximum(logits);
    sums.clear();
    for stretch in logits.chunks(STRETCH) {
        sums.push(sum_of_exponentials(stretch, largest));
    }
    let total: f64 = sums.iter().sum();
    let token = locate(logits, largest, uniform * total, sums);
    let logp = f64::from(logits[token]) - f64::from(largest) - total.ln();
    (token as u32, logp as f32)
}

/// The first token whose cumulative weight exceeds `weight`; the last one of any weight where rounding leaves none.
#[inline(always)]
fn locate(logits: &[f32], largest: f32, weight: f64, sums: &[f64]) -> usize {
    let mut before = 0.0;
    let mut stretch = 0;
    while stretch + 1 < sums.len() && before + sums[stretch] <= weight {
        before += sums[stretch];
        stretch += 1;
    }
    for first in (stretch * STRETCH..logits.len()).step_by(LANES) {
        let mut p = padded(&logits[first..logits.len().min(first + LANES)], f32::NEG_INFINITY);
        for p in &mut p {
            *p = exp(*p - largest);
        }
        for (i, p) in p.into_iter().enumerate() {
            before += f64::from(p);
            if before > weight {
                return first + i;
            }
        }
    }
    let possible = |&logit: &f32| exp(logit - largest) > 0.0;
    logits.iter().rposition(possible).unwrap_or(0)
}
