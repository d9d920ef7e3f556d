//! Element-wise in fixed blocks; the scalars of a step are formed once in `f64`.

use super::{Moments, Settings};
use crate::blocks::ELEMENTS;
use crate::vector::vectorised;
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

pub(super) fn step(parameters: &mut [f32], moments: Moments, gradients: &[f32], factors: &Factors) {
    let moments =
        moments.first.par_chunks_mut(ELEMENTS).zip(moments.second.par_chunks_mut(ELEMENTS));
    let blocks =
        parameters.par_chunks_mut(ELEMENTS).zip(moments).zip(gradients.par_chunks(ELEMENTS));
    blocks.for_each(|((parameters, (first, second)), gradients)| {
        vectorised(
            #[inline(always)]
            || step_block(parameters, first, second, gradients, factors),
        );
    });
}

#[inline(always)]
fn step_block(
    parameters: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradients: &[f32],
    factors: &Factors,
) {
    for (((parameter, m), v), &g) in parameters.iter_mut().zip(first).zip(second).zip(gradients) {
        *m += factors.new_first * (g - *m);
        *v = factors.keep_second * *v + factors.new_second * g * g;
        let denominator = v.sqrt() / factors.correction + factors.epsilon;
        *parameter = *parameter * factors.keep - factors.step_size * (*m / denominator);
    }
}
