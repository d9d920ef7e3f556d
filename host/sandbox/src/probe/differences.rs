//! Derivatives from differences, and what they say of a gradient.
//!
//! Central differences D(h) = (f(x+h) − f(x−h)) / 2h. Their error is h²f‴/6 from curvature, which D(h) − D(h/2) shows
//! (it is 3/4 of it), and up to 4ε·max|f|/h from rounding. So a gradient g must lie within
//!
//! ```text
//! 2·|D(h) − D(h/2)| + 8ε·max|f|/h + 2⁻⁴²·|g|/h + 1e-7·max(|g|, |D|) + 1e-12
//! ```
//!
//! of D(h/2), at one of several steps h: small steps for sharp bends, large ones for large values. The third term is
//! the rounding of x + h itself, for log-probs of about a thousand nats. Where no step agrees, the two one-sided
//! differences at the smallest step tell a kink (they differ, and g lies between them) or a jump (the difference does
//! not shrink with h) from a wrong gradient. Where kinks of several rows may meet, as along a direction through a
//! batch, g need not lie between: `max(0, x) + max(0, -y)` has slope 1 on both sides of the origin along x = y, and 0
//! is its gradient as good as any. At larger steps a sharp bend of a smooth function would look like a kink.

use crate::Failure;

/// Step sizes in nats; the second half of each set of evaluations is at h/2.
pub(super) const STEPS: [f64; 4] = [1.0 / 1024.0, 1.0 / 16_384.0, 1.0 / 262_144.0, 1.0 / 16.0];

/// f at x ± h and x ± h/2, for many x at once.
pub(super) struct Samples {
    step: f64,
    up: Vec<f64>,
    down: Vec<f64>,
    half_up: Vec<f64>,
    half_down: Vec<f64>,
}

/// Whether more than one kink may lie at the same x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinks {
    Apart,
    MayMeet,
}

/// Why f has no derivative at x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bend {
    Kink,
    Jump,
}

impl Samples {
    /// `at` gives f for every x moved by an offset.
    pub(super) fn take(
        step: f64,
        mut at: impl FnMut(f64) -> Result<Vec<f64>, Failure>,
    ) -> Result<Self, Failure> {
        Ok(Samples {
            step,
            up: at(step)?,
            down: at(-step)?,
            half_up: at(step / 2.0)?,
            half_down: at(-step / 2.0)?,
        })
    }

    /// D(h).
    fn coarse(&self, i: usize) -> f64 {
        (self.up[i] - self.down[i]) / (2.0 * self.step)
    }

    /// D(h/2).
    pub(super) fn fine(&self, i: usize) -> f64 {
        (self.half_up[i] - self.half_down[i]) / self.step
    }

    fn rounding(&self, i: usize, value: f64) -> f64 {
        let largest = value.abs().max(self.up[i].abs()).max(self.down[i].abs());
        8.0 * f64::EPSILON * largest / self.step
    }

    /// Whether the gradient at the `i`-th x, where f is about `value`, is the derivative as far as this step can tell.
    pub(super) fn agrees(&self, i: usize, gradient: f64, value: f64) -> bool {
        let (coarse, fine, rounding) = (self.coarse(i), self.fine(i), self.rounding(i, value));
        let (curvature, size) = ((coarse - fine).abs(), gradient.abs().max(fine.abs()));
        let argument = 2.0_f64.powi(-42) / self.step * gradient.abs();
        let tolerance = 2.0 * curvature + rounding + argument + 1e-7 * size + 1e-12;
        let step_is_small_enough = curvature <= 1e-2 * size + rounding + 1e-9;
        step_is_small_enough && (gradient - fine).abs() <= tolerance
    }

    /// Whether the `i`-th x lies on a kink or a jump that explains why the differences do not agree.
    fn bend(&self, i: usize, gradient: f64, value: f64, kinks: Kinks) -> Option<Bend> {
        let (whole, part) = (
            self.up[i] - self.down[i],
            self.half_up[i] - self.half_down[i],
        );
        let does_not_shrink = part.abs() > 0.9 * whole.abs() && part.abs() > 1e-9;
        if does_not_shrink && part.abs() > 4.0 * self.step * gradient.abs() {
            return Some(Bend::Jump);
        }
        let half = self.step / 2.0;
        let (right, left) = (
            (self.half_up[i] - value) / half,
            (value - self.half_down[i]) / half,
        );
        let slack = 1e-3 * right.abs().max(left.abs()) + self.rounding(i, value) + 1e-9;
        let between = left.min(right) - slack..=left.max(right) + slack;
        let explains = kinks == Kinks::MayMeet || between.contains(&gradient);
        ((right - left).abs() > slack && explains).then_some(Bend::Kink)
    }
}

/// What the smallest step of those tried says of the `i`-th x, where no step agreed with the gradient.
pub(super) fn bend(
    tried: &[Samples],
    i: usize,
    gradient: f64,
    value: f64,
    kinks: Kinks,
) -> Option<Bend> {
    let smallest = tried.iter().min_by(|a, b| a.step.total_cmp(&b.step))?;
    smallest.bend(i, gradient, value, kinks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What all steps together say of the gradient `g` of `f` at `x`: agreement, a bend or neither.
    fn verdict(f: impl Fn(f64) -> f64, x: f64, g: f64) -> Result<(), Option<Bend>> {
        let samples = STEPS.map(|step| {
            Samples::take(step, |offset| Ok(vec![f(x + offset)])).expect("f does not fail")
        });
        match samples.iter().any(|samples| samples.agrees(0, g, f(x))) {
            true => Ok(()),
            false => Err(bend(&samples, 0, g, f(x), Kinks::Apart)),
        }
    }

    type Function = fn(f64) -> f64;

    /// Functions with their derivatives in closed form, flat and steep, small and large.
    const SMOOTH: [(Function, Function); 5] = [
        (
            |x| (-0.1 * x).exp().ln_1p(),
            |x| -0.1 / (1.0 + (0.1 * x).exp()),
        ),
        (|x| (0.1 * x - 5.0).powi(2), |x| 0.2 * (0.1 * x - 5.0)),
        (|x| (20.0 * x).tanh(), |x| 20.0 / (20.0 * x).cosh().powi(2)),
        (|x| (-0.1 * x).exp(), |x| -0.1 * (-0.1 * x).exp()),
        (|_| 0.7, |_| 0.0),
    ];

    #[test]
    fn true_derivatives_agree() {
        for (n, (f, derivative)) in SMOOTH.into_iter().enumerate() {
            for x in [-900.0, -40.0, -0.3, 0.0, 1e-3, 2.0, 77.0] {
                assert_eq!(verdict(f, x, derivative(x)), Ok(()), "function {n} at {x}");
            }
        }
    }

    #[test]
    fn a_hundredth_too_much_is_wrong() {
        for (n, (f, derivative)) in SMOOTH.into_iter().enumerate().take(4) {
            for x in [-0.05, -0.03, 2e-2] {
                assert_eq!(
                    verdict(f, x, 1.01 * derivative(x)),
                    Err(None),
                    "function {n} at {x}"
                );
            }
        }
    }

    #[test]
    fn a_kink_allows_what_lies_between_its_slopes() {
        let hinge = |x: f64| (1.0 - x).max(0.0);
        for g in [-1.0, -0.4, 0.0] {
            assert_ne!(verdict(hinge, 1.0, g), Err(None), "{g}");
        }
        assert_eq!(verdict(hinge, 1.0, 0.5), Err(None));
        assert_eq!(verdict(hinge, 1.0, -1.5), Err(None));
        assert_eq!(verdict(hinge, 0.0, 0.0), Err(None), "away from the kink");
    }

    #[test]
    fn a_jump_is_told_from_a_slope() {
        let jump = |x: f64| if x < 0.0 { 0.5 - x } else { 1.0 - x };
        assert_eq!(verdict(jump, 0.0, -1.0), Err(Some(Bend::Jump)));
        assert_eq!(verdict(jump, 0.5, -1.0), Ok(()));
    }
}
