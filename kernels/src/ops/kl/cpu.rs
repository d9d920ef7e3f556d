//! Three passes over each row: two normalisers, then the weighted sum of differences.

use crate::elementary::exp;
use crate::vector::{LANES, log_sum_exp, vectorised};
use rayon::prelude::*;

pub(super) fn divergence(kl: &mut [f32], p_logits: &[f32], q_logits: &[f32], vocabulary: usize) {
    let rows =
        kl.par_iter_mut().zip(p_logits.par_chunks(vocabulary)).zip(q_logits.par_chunks(vocabulary));
    rows.for_each(|((kl, p), q)| {
        *kl = vectorised(
            #[inline(always)]
            || row(p, q),
        );
    });
}

/// Σ p·((l_p − lse_p) − (l_q − lse_q)), in `f64` beyond the exponential.
#[inline(always)]
fn row(p_logits: &[f32], q_logits: &[f32]) -> f32 {
    let (p_lse, q_lse) = (log_sum_exp(p_logits), log_sum_exp(q_logits));
    let offset = p_lse - q_lse;
    let mut lanes = [0.0; LANES];
    for (p, q) in p_logits.chunks(LANES).zip(q_logits.chunks(LANES)) {
        for ((lane, &p), &q) in lanes.iter_mut().zip(p).zip(q) {
            *lane += f64::from(exp(p - p_lse as f32)) * (f64::from(p) - f64::from(q) - offset);
        }
    }
    lanes.iter().sum::<f64>() as f32
}
