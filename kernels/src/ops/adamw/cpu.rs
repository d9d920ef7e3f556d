//! Element-wise in fixed blocks; the scalars of a step are formed once in `f64`. Whether the results are finite is found out in
//! the same pass: 0·θ is 0 where θ is a number, and NaN where it is not, so one sum of such products answers for a block.

use super::{Moments, Settings};
use crate::blocks::ELEMENTS;
use crate::vector::{LANES, sum_of, vectorised};
use rayon::prelude::*;

/// The scalars of one step, in the order of `adamw.cu`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Factors {
    /// 1 − lr·λ
    keep: f32,
    /// 1 − β₁
    new_first: f32,
    /// β₂
    keep_second: f32,
    /// 1 − β₂
    new_second: f32,
    /// lr/(1 − β₁ᵗ)
    step_size: f32,
    /// √(1 − β₂ᵗ)
    correction: f32,
    epsilon: f32,
}

impl Factors {
    pub(super) fn new(settings: &Settings, weight_decay: f64, step: u64) -> Self {
        let Settings { learning_rate, beta1, beta2, epsilon } = *settings;
        let steps = step as f64;
        Self {
            keep: (1.0 - learning_rate * weight_decay) as f32,
            new_first: (1.0 - beta1) as f32,
            keep_second: beta2 as f32,
            new_second: (1.0 - beta2) as f32,
            step_size: (learning_rate / (1.0 - beta1.powf(steps))) as f32,
            correction: (1.0 - beta2.powf(steps)).sqrt() as f32,
            epsilon: epsilon as f32,
        }
    }
}

/// Updates, and says whether all parameters are finite.
pub(super) fn step(
    parameters: &mut [f32],
    moments: Moments,
    gradients: &[f32],
    factor: f32,
    factors: &Factors,
) -> bool {
    let moments =
        moments.first.par_chunks_mut(ELEMENTS).zip(moments.second.par_chunks_mut(ELEMENTS));
    let blocks =
        parameters.par_chunks_mut(ELEMENTS).zip(moments).zip(gradients.par_chunks(ELEMENTS));
    let finite = blocks.map(|((parameters, (first, second)), gradients)| {
        vectorised(
            #[inline(always)]
            || step_block(parameters, first, second, gradients, factor, factors),
        )
    });
    finite.reduce(|| true, |left, right| left & right)
}

#[inline(always)]
fn step_block(
    parameters: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradients: &[f32],
    factor: f32,
    factors: &Factors,
) -> bool {
    let mut lanes = [0.0; LANES];
    let (theta, theta_rest) = parameters.as_chunks_mut::<LANES>();
    let (m, m_rest) = first.as_chunks_mut::<LANES>();
    let (v, v_rest) = second.as_chunks_mut::<LANES>();
    let (g, g_rest) = gradients.as_chunks::<LANES>();
    for (((theta, m), v), g) in theta.iter_mut().zip(m).zip(v).zip(g) {
        for lane in 0..LANES {
            update(&mut theta[lane], &mut m[lane], &mut v[lane], factor * g[lane], factors);
            lanes[lane] += 0.0 * theta[lane];
        }
    }
    let rest = theta_rest.iter_mut().zip(m_rest).zip(v_rest).zip(g_rest);
    for (lane, (((theta, m), v), &g)) in lanes.iter_mut().zip(rest) {
        update(theta, m, v, factor * g, factors);
        *lane += 0.0 * *theta;
    }
    sum_of(&lanes) == 0.0
}

#[inline(always)]
fn update(theta: &mut f32, m: &mut f32, v: &mut f32, g: f32, factors: &Factors) {
    *m += factors.new_first * (g - *m);
    *v = factors.keep_second * *v + factors.new_second * g * g;
    let denominator = v.sqrt() / factors.correction + factors.epsilon;
    *theta = *theta * factors.keep - factors.step_size * (*m / denominator);
}
