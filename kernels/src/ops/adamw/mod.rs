//! AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) over one flat parameter buffer.
//!
//! In PyTorch's order and form, with t counted from 1: θ ← θ·(1 − lr·λ); m ← m + (1 − β₁)(g − m);
//! v ← β₂·v + (1 − β₂)·g²; θ ← θ − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε). Each group of parameters has its
//! own weight decay λ; parameters in no group are left alone. A clipped gradient need not be written anywhere: g is the
//! given gradient times one factor. No schedule, and no choice of that factor (see `clip`).

mod cpu;
pub mod cuda;

use std::ops::Range;
use tracing::trace_span;

/// What all parameters of a step share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The step size, lr.
    pub learning_rate: f64,
    /// Decay of the gradient's running mean.
    pub beta1: f64,
    /// Decay of the squared gradient's running mean.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
}

/// A range of the parameter buffer with its weight decay.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Elements of the flat buffer.
    pub range: Range<usize>,
    /// Decoupled weight decay, λ.
    pub weight_decay: f64,
}

/// The running means, one element per parameter, zero before the first step.
#[derive(Debug)]
pub struct Moments<'a> {
    /// Mean of the gradient.
    pub first: &'a mut [f32],
    /// Mean of the squared gradient.
    pub second: &'a mut [f32],
}

/// One update by `factor` times the gradients, `step` counted from 1, and whether all updated parameters are finite. All
/// buffers have one length; the groups are disjoint.
pub fn step(
    parameters: &mut [f32],
    moments: Moments,
    gradients: &[f32],
    factor: f32,
    step: u64,
    settings: &Settings,
    groups: &[Group],
) -> bool {
    let _span = trace_span!("adamw").entered();
    assert!(step >= 1, "steps are counted from 1, got 0");
    assert_eq!(parameters.len(), gradients.len(), "parameters and gradients differ in length");
    assert_eq!(
        parameters.len(),
        moments.first.len(),
        "parameters and first moments differ in length"
    );
    assert_eq!(
        parameters.len(),
        moments.second.len(),
        "parameters and second moments differ in length"
    );
    let mut finite = true;
    for Group { range, weight_decay } in groups {
        let moments = Moments {
            first: &mut moments.first[range.clone()],
            second: &mut moments.second[range.clone()],
        };
        let factors = cpu::Factors::new(settings, *weight_decay, step);
        let (parameters, gradients) = (&mut parameters[range.clone()], &gradients[range.clone()]);
        finite &= cpu::step(parameters, moments, gradients, factor, &factors);
    }
    finite
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const SETTINGS: Settings =
        Settings { learning_rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

    /// PyTorch's `_single_tensor_adamw`, in `f64`.
    fn reference(theta: &mut f64, m: &mut f64, v: &mut f64, g: f64, t: i32, weight_decay: f64) {
        let Settings { learning_rate, beta1, beta2, epsilon } = SETTINGS;
        *theta *= 1.0 - learning_rate * weight_decay;
        *m = beta1 * *m + (1.0 - beta1) * g;
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        let denominator = v.sqrt() / (1.0 - beta2.powi(t)).sqrt() + epsilon;
        *theta -= learning_rate / (1.0 - beta1.powi(t)) * *m / denominator;
    }

    #[test]
    fn the_first_step_moves_by_the_learning_rate_against_the_gradient() {
        // Closed form: m̂ = g and v̂ = g², so θ ← θ − lr·g/(|g| + ε).
        let (mut parameters, mut first, mut second) = ([1.0, -2.0, 0.5], [0.0; 3], [0.0; 3]);
        let moments = Moments { first: &mut first, second: &mut second };
        step(
            &mut parameters,
            moments,
            &[0.3, -7.0, 0.0],
            1.0,
            1,
            &SETTINGS,
            &[Group { range: 0..3, weight_decay: 0.0 }],
        );
        assert_close(&parameters, &[0.99, -1.99, 0.5], 1e-7);
    }

    #[test]
    fn decay_is_decoupled_from_the_gradient() {
        let (mut parameters, mut first, mut second) = ([2.0, 2.0, 2.0], [0.0; 3], [0.0; 3]);
        let groups =
            [Group { range: 0..1, weight_decay: 0.1 }, Group { range: 2..3, weight_decay: 0.5 }];
        let moments = Moments { first: &mut first, second: &mut second };
        step(&mut parameters, moments, &[0.0; 3], 1.0, 1, &SETTINGS, &groups);
        assert_close(&parameters, &[2.0 * 0.999, 2.0, 2.0 * 0.995], 1e-7);
    }

    #[test]
    fn many_steps_agree_with_the_reference() {
        let n = 33_001;
        let parameters = random(n, 1);
        let groups = [
            Group { range: 0..1000, weight_decay: 0.0 },
            Group { range: 1000..n, weight_decay: 0.01 },
        ];
        let (mut fast, mut first, mut second) = (parameters.clone(), vec![0.0; n], vec![0.0; n]);
        let (mut exact, mut m, mut v) = (to_f64(&parameters), vec![0.0; n], vec![0.0; n]);
        for t in 1..=5 {
            let gradients = random(n, 10 + t);
            let moments = Moments { first: &mut first, second: &mut second };
            step(&mut fast, moments, &gradients, 1.0, t, &SETTINGS, &groups);
            for i in 0..n {
                let decay = groups[usize::from(i >= 1000)].weight_decay;
                reference(
                    &mut exact[i],
                    &mut m[i],
                    &mut v[i],
                    f64::from(gradients[i]),
                    t as i32,
                    decay,
                );
            }
        }
        // Five steps round a parameter twice each, by half a unit in the last place (6e-8).
        assert_close(&fast, &exact, 6e-7);
    }

    #[test]
    fn a_scaled_gradient_is_the_gradient_times_the_factor() {
        let (parameters, gradients) = (random(1001, 1), random(1001, 2));
        let after = |gradients: &[f32], factor| {
            let (mut theta, mut first, mut second) =
                (parameters.clone(), vec![0.0; 1001], vec![0.0; 1001]);
            let moments = Moments { first: &mut first, second: &mut second };
            let groups = [Group { range: 0..1001, weight_decay: 0.1 }];
            assert!(step(&mut theta, moments, gradients, factor, 1, &SETTINGS, &groups));
            [theta, first, second].concat()
        };
        let halved: Vec<f32> = gradients.iter().map(|g| 0.3 * g).collect();
        assert_eq!(after(&gradients, 0.3), after(&halved, 1.0));
    }

    /// In the vectors, in the rest behind them, in any block and in any group; −0 and large numbers are finite.
    #[test]
    fn a_parameter_that_is_not_finite_is_noticed_wherever_it_is() {
        let n = 40_007;
        let groups = [
            Group { range: 0..100, weight_decay: 0.0 },
            Group { range: 100..n, weight_decay: 0.1 },
        ];
        let is_finite = |place: usize, value: f32| {
            let (mut theta, mut first, mut second) = (random(n, 1), vec![0.0; n], vec![0.0; n]);
            theta[place] = value;
            let moments = Moments { first: &mut first, second: &mut second };
            step(&mut theta, moments, &vec![0.0; n], 1.0, 1, &SETTINGS, &groups)
        };
        for place in [0, 99, 100, 20_000, n - 1] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                assert!(!is_finite(place, value), "{value} at {place}");
            }
            for value in [-0.0, f32::MAX, f32::MIN_POSITIVE] {
                assert!(is_finite(place, value), "{value} at {place}");
            }
        }
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (parameters, gradients) = (random(70_001, 1), random(70_001, 2));
        assert_same_on_any_number_of_threads(|| {
            let (mut theta, mut first, mut second) =
                (parameters.clone(), vec![0.0; 70_001], vec![0.0; 70_001]);
            for t in 1..=3 {
                let moments = Moments { first: &mut first, second: &mut second };
                step(
                    &mut theta,
                    moments,
                    &gradients,
                    1.0,
                    t,
                    &SETTINGS,
                    &[Group { range: 0..70_001, weight_decay: 0.1 }],
                );
            }
            [theta, first, second].concat()
        });
    }
}
