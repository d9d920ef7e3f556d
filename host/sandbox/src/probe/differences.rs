//! Derivatives from differences, and what they say of a gradient.
//!
//! **Where the function is smooth.** Central differences D(h) = (f(x+h) − f(x−h)) / 2h err by h²f‴/6 from curvature, which
//! D(h) − D(h/2) shows (it is 3/4 of it, so D(h/2) errs by a third of that), and by noise/h from rounding, where the noise
//! of one value of f is 4ε·(|f| + |x|·max(g, typical g)), and never less than 4 times the least number: f is rounded, and so
//! is every sum of log-probs inside it. A
//! gradient g agrees if for one of several steps h
//!
//! ```text
//! |g − D(h/2)| ≤ 2·|D(h) − D(h/2)| + 2·noise/h + 1e-7·size,   size = max(|g|, |D(h/2)|)
//! ```
//!
//! and the step can tell: |D(h) − D(h/2)| ≤ 1e-3·size beyond rounding, and a tolerance of at most 1e-2·size. Small steps
//! are for sharp bends, large ones for large values. A derivative below a millionth of a typical one, or
//! of next to nothing beside the rounding of f, need not be told from 0. So a gradient that is wrong by a hundredth never agrees.
//!
//! **Where it is not.** What agrees at no step is looked at from each side by itself, with steps from 2⁻⁴ to 2⁻³⁰. A side
//! has a slope (its differences settle), jumps (its differences do not shrink with the step), drowns in rounding or is
//! rough. Two equal slopes are a smooth place; two different ones a kink, where the gradient may be anything between; one
//! slope and one jump ask for that slope; a jump on both sides says nothing of the gradient, and no drawn place may be such
//! an island. Where kinks of several rows may meet, as along a direction through a batch
//! with ties, g need not lie between: `max(0, x) + max(0, -y)` has slope 1 on both sides of the origin along x = y, and 0
//! is its gradient as good as any.
//!
//! What differences cannot see: a loss so large that its change drowns in rounding. Such places are counted, and too many
//! of them are a rejection (see `gradient`).

use crate::Failure;

/// Steps in nats; D(h) and D(h/2) are taken at each.
const STEPS: [f64; 4] = [1.0 / 1024.0, 1.0 / 16_384.0, 1.0 / 262_144.0, 1.0 / 16.0];
/// The least number above 0: near it rounding does not shrink with what is rounded.
const SUBNORMAL: f64 = f64::from_bits(1);
/// A slope of less than so many times the noise of f cannot be told from 0 where f bends as fast as a power of the margin does
/// near 0: small steps drown, large ones see the bend.
const HIDDEN: f64 = 1e6;
/// What no optimiser takes for a gradient, in nats per nat: a tenth of AdamW's usual ε.
const NOTHING: f64 = 1e-9;
/// One-sided steps are 2⁻⁴, 2⁻⁶ … 2⁻³⁰.
const SIDE_STEPS: i32 = 14;

/// A gradient as the plugin gives it, at an x where f is `value`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) gradient: f64,
    pub(super) value: f64,
    /// Σ |f| over the rows that f sums up.
    pub(super) size: f64,
    /// Σ |x|·|derivative| over the inputs: what the rounding of each input moves f by, in units of ε.
    pub(super) reach: f64,
    /// What counts as a gradient of this loss; a millionth of it counts as nothing.
    pub(super) typical: f64,
}

/// Whether more than one kink may lie at the same x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinks {
    Apart,
    MayMeet,
}

/// What the differences say of a claim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    Agrees,
    /// Rounding hides the derivative.
    Unseen,
    /// Two slopes, and the gradient between them.
    Kink,
    /// f jumps, and the gradient is that of the side that belongs to x.
    Jump,
    /// f jumps on both sides: x stands alone, and no difference tells its gradient.
    Island,
    Wrong {
        expected: f64,
    },
}

/// Judges every claim. `at` gives f for the claims of these indices, each x moved by an offset.
pub(super) fn judge(
    claims: &[Claim],
    kinks: Kinks,
    mut at: impl FnMut(&[usize], f64) -> Result<Vec<f64>, Failure>,
) -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = vec![Verdict::Agrees; claims.len()];
    let mut open: Vec<usize> = (0..claims.len()).collect();
    for step in STEPS {
        if open.is_empty() {
            return Ok(verdicts);
        }
        let mut f = |offset: f64| at(&open, offset);
        let (up, down) = (f(step)?, f(-step)?);
        let (half_up, half_down) = (f(step / 2.0)?, f(-step / 2.0)?);
        let sample = |place: usize| Central {
            step,
            coarse: (up[place] - down[place]) / (2.0 * step),
            fine: (half_up[place] - half_down[place]) / step,
            largest: up[place].abs().max(down[place].abs()),
        };
        let mut place = 0..;
        open.retain(|&i| place.next().is_some_and(|place| !sample(place).agrees(&claims[i])));
    }
    let sides = Sides::take(&open, &mut at)?;
    for (place, &i) in open.iter().enumerate() {
        verdicts[i] = sides.verdict(place, &claims[i], kinks);
    }
    Ok(verdicts)
}

impl Claim {
    /// How far one value of f may be off by rounding.
    fn noise(&self, largest: f64) -> f64 {
        let relative = 4.0 * f64::EPSILON * (self.size.max(largest) + self.reach);
        relative.max(4.0 * SUBNORMAL)
    }

    fn is_nothing(&self, slope: f64) -> bool {
        let hidden = (HIDDEN * self.noise(0.0)).min(NOTHING);
        slope.abs() <= (1e-6 * self.typical).max(hidden)
    }
}

/// D(h) and D(h/2) at one x.
struct Central {
    step: f64,
    coarse: f64,
    fine: f64,
    largest: f64,
}

impl Central {
    fn agrees(&self, claim: &Claim) -> bool {
        let size = claim.gradient.abs().max(self.fine.abs());
        let curvature = (self.coarse - self.fine).abs();
        let rounding = 2.0 * claim.noise(self.largest) / self.step;
        let tolerance = 2.0 * curvature + rounding + 1e-7 * size;
        let tells = curvature <= 1e-3 * size + rounding && tolerance <= 1e-2 * size;
        let within = (claim.gradient - self.fine).abs() <= tolerance;
        // NaN and ∞ fail every comparison.
        within && tolerance.is_finite() && (tells || claim.is_nothing(size))
    }
}

/// f on both sides of each x, from far to near.
struct Sides {
    right: Vec<Vec<f64>>,
    left: Vec<Vec<f64>>,
}

/// What one side of an x looks like.
#[derive(Debug, Clone, Copy)]
enum Side {
    Slope {
        slope: f64,
        error: f64,
    },
    Jumps,
    Drowns,
    Rough,
    /// f is not finite there.
    Beyond,
}

fn side_step(k: usize) -> f64 {
    2.0_f64.powi(-4 - 2 * k as i32)
}

impl Sides {
    fn take(
        open: &[usize],
        at: &mut impl FnMut(&[usize], f64) -> Result<Vec<f64>, Failure>,
    ) -> Result<Self, Failure> {
        let (mut right, mut left) = (Vec::new(), Vec::new());
        for k in 0..SIDE_STEPS as usize {
            if open.is_empty() {
                break;
            }
            right.push(at(open, side_step(k))?);
            left.push(at(open, -side_step(k))?);
        }
        Ok(Sides { right, left })
    }

    fn verdict(&self, place: usize, claim: &Claim, kinks: Kinks) -> Verdict {
        let values = |side: &[Vec<f64>]| side.iter().map(|f| f[place]).collect::<Vec<f64>>();
        let right = side(&values(&self.right), 1.0, claim);
        let left = side(&values(&self.left), -1.0, claim);
        judge_sides(left, right, claim, kinks)
    }
}

/// `values` are f at x ± 2⁻⁴, ± 2⁻⁶, …; `sign` says which.
fn side(values: &[f64], sign: f64, claim: &Claim) -> Side {
    let slope = |k: usize| sign * (values[k] - claim.value) / side_step(k);
    let noise = |k: usize| 2.0 * claim.noise(values[k].abs()) / side_step(k);
    let error = |k: usize| 2.0 * (slope(k - 1) - slope(k)).abs() + noise(k);
    let n_finite = values.iter().rev().take_while(|value| value.is_finite()).count();
    let first = values.len() - n_finite;
    let Some(best) = (first + 1..values.len()).min_by(|&a, &b| error(a).total_cmp(&error(b)))
    else {
        return Side::Beyond;
    };
    let size = slope(best).abs().max(claim.gradient.abs());
    let settles = error(best) <= (2e-3 * size).max(1e-3 * slope(first).abs());
    if settles || (claim.is_nothing(size) && claim.is_nothing(error(best))) {
        return Side::Slope { slope: slope(best), error: error(best) };
    }
    // Still as far as at 2⁻¹⁸, at one of the last four steps: the jump is nearer than 2⁻²⁴.
    let moved = |k: usize| (values[k] - claim.value).abs();
    let (last, middle) = (values.len() - 1, (first + values.len()) / 2);
    let stays =
        |k: usize| moved(k) > 0.5 * moved(middle) && moved(k) > 8.0 * claim.noise(values[k].abs());
    if (last.saturating_sub(3).max(middle + 1)..=last).any(stays) {
        return Side::Jumps;
    }
    match noise(best) > 0.25 * error(best) {
        true => Side::Drowns,
        false => Side::Rough,
    }
}

fn judge_sides(left: Side, right: Side, claim: &Claim, kinks: Kinks) -> Verdict {
    let gradient = claim.gradient;
    let slack = |slope: f64, error: f64| error + 1e-5 * slope.abs().max(gradient.abs());
    match (left, right) {
        (Side::Slope { slope: l, error: el }, Side::Slope { slope: r, error: er }) => {
            let (below, above) = (slack(l, el), slack(r, er));
            let (lowest, highest) = ((l - below).min(r - above), (l + below).max(r + above));
            let differ = (l - r).abs() > 2.0 * (below + above);
            let fits = (lowest..=highest).contains(&gradient);
            match (differ, fits) {
                (false, true) => Verdict::Agrees,
                (true, true) => Verdict::Kink,
                (true, false) if kinks == Kinks::MayMeet => Verdict::Kink,
                (_, false) => Verdict::Wrong { expected: 0.5 * (l + r) },
            }
        }
        (Side::Slope { slope, error }, other) | (other, Side::Slope { slope, error }) => {
            let fits = (gradient - slope).abs() <= slack(slope, error);
            match other {
                Side::Jumps if fits || kinks == Kinks::MayMeet => Verdict::Jump,
                Side::Drowns => Verdict::Unseen,
                Side::Beyond if fits => Verdict::Agrees,
                _ => Verdict::Wrong { expected: slope },
            }
        }
        (Side::Jumps, Side::Jumps) => Verdict::Island,
        (Side::Rough, _) | (_, Side::Rough) => Verdict::Wrong { expected: f64::NAN },
        _ => Verdict::Unseen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the differences of `f` say of the gradient `g` at `x`.
    fn verdict(f: impl Fn(f64) -> f64, x: f64, g: f64) -> Verdict {
        let claim = Claim {
            gradient: g,
            value: f(x),
            size: f(x).abs(),
            reach: x.abs() * g.abs().max(0.1),
            typical: 0.1,
        };
        let verdicts = judge(&[claim], Kinks::Apart, |_, offset| Ok(vec![f(x + offset)]));
        verdicts.expect("f does not fail")[0]
    }

    #[track_caller]
    fn check_wrong(f: impl Fn(f64) -> f64, x: f64, g: f64) {
        let verdict = verdict(f, x, g);
        assert!(matches!(verdict, Verdict::Wrong { .. }), "{g} at {x}: {verdict:?}");
    }

    type Function = fn(f64) -> f64;

    /// Functions with their derivatives in closed form, flat and steep, small and large.
    const SMOOTH: [(Function, Function); 7] = [
        (|x| (-0.1 * x).exp().ln_1p(), |x| -0.1 / (1.0 + (0.1 * x).exp())),
        (|x| (0.1 * x - 5.0).powi(2), |x| 0.2 * (0.1 * x - 5.0)),
        (|x| (20.0 * x).tanh(), |x| 20.0 / (20.0 * x).cosh().powi(2)),
        (|x| (-0.1 * x).exp(), |x| -0.1 * (-0.1 * x).exp()),
        (|x| 1e-9 * (x / 3.0).sin(), |x| 1e-9 / 3.0 * (x / 3.0).cos()),
        (|x| (0.1 * x).powi(3), |x| 0.3 * (0.1 * x).powi(2)),
        (|_| 0.7, |_| 0.0),
    ];

    #[test]
    fn true_derivatives_agree() {
        for (n, (f, derivative)) in SMOOTH.into_iter().enumerate() {
            for x in [-900.0, -40.0, -0.3, 0.0, 1e-3, 2.0, 77.0] {
                let verdict = verdict(f, x, derivative(x));
                assert_eq!(verdict, Verdict::Agrees, "function {n} at {x}");
            }
        }
    }

    #[test]
    fn a_hundredth_too_much_or_too_little_is_wrong() {
        for (f, derivative) in SMOOTH.into_iter().take(4) {
            for x in [-0.05, -0.03, 2e-2] {
                for factor in [0.99, 1.01, -1.0, 0.0] {
                    check_wrong(f, x, factor * derivative(x));
                }
            }
        }
    }

    #[test]
    fn a_bend_sharper_than_every_central_step_is_still_smooth() {
        let f = |x: f64| (1e6 * x).tanh();
        assert_eq!(verdict(f, 0.0, 1e6), Verdict::Agrees);
        check_wrong(f, 0.0, 0.9e6);
    }

    #[test]
    fn a_kink_allows_what_lies_between_its_slopes() {
        let hinge = |x: f64| (1.0 - x).max(0.0);
        for g in [-1.0, -0.4, 0.0] {
            assert_eq!(verdict(hinge, 1.0, g), Verdict::Kink, "{g}");
        }
        check_wrong(hinge, 1.0, 0.01);
        check_wrong(hinge, 1.0, -1.01);
        check_wrong(hinge, 0.0, 0.0);
        assert_eq!(verdict(hinge, 1.0 + 1e-5, 0.0), Verdict::Agrees);
        check_wrong(hinge, 1.0 + 1e-5, -1.0);
    }

    #[test]
    fn powers_that_bend_at_zero_have_slope_zero_there() {
        for exponent in [1.25, 1.5, 3.0] {
            let f = |x: f64| x.abs().powf(exponent);
            assert_eq!(verdict(f, 0.0, 0.0), Verdict::Agrees, "{exponent}");
        }
        check_wrong(|x| x.abs().powf(1.5), 0.0, 0.2);
    }

    #[test]
    fn a_jump_asks_for_the_slope_of_its_own_side() {
        let jump = |x: f64| if x < 0.0 { 0.5 - x } else { 1.0 - 2.0 * x };
        assert_eq!(verdict(jump, 0.0, -2.0), Verdict::Jump);
        check_wrong(jump, 0.0, -1.0);
        check_wrong(jump, 0.0, -2.1);
        check_wrong(jump, 0.0, 50.0);
        assert_eq!(verdict(jump, 0.5, -2.0), Verdict::Agrees);
    }

    /// A tooth is steeper than any slope, so that any lie would lie "between" at a step that does not see it.
    #[test]
    fn a_sawtooth_hides_no_gradient() {
        for period in [1e-3, 1e-5, 1e-7] {
            let f = |x: f64| {
                let tooth = (x / period).rem_euclid(1.0);
                (-0.1 * x).exp().ln_1p() + 1e-4 * period * (tooth - 0.5).abs() / 1e-6
            };
            for x in [-0.314_159_265, 0.771_234_567_8, 2.123_718_281] {
                check_wrong(f, x, 0.05);
                check_wrong(f, x, -0.3);
            }
        }
    }

    #[test]
    fn a_stair_has_slope_zero_and_no_other() {
        let stairs = |x: f64| -0.01 * (x / 1e-3).floor() * 1e-2;
        assert_eq!(verdict(stairs, 0.7705, 0.0), Verdict::Agrees);
        check_wrong(stairs, 0.7705, -0.1);
    }

    #[test]
    fn a_loss_that_drowns_in_a_constant_is_not_seen() {
        let f = |x: f64| 1e15 + (-0.1 * x).exp().ln_1p();
        assert_eq!(verdict(f, 0.3, 5.0), Verdict::Unseen);
    }

    /// Its values are a few thousand times the least number, so most of their change is rounding.
    #[test]
    fn a_loss_of_subnormal_numbers_is_not_wrong_for_its_rounding() {
        let f = |x: f64| (-0.1 * x).exp().ln_1p() * 1e-319;
        for x in [-40.0_f64, -0.3, 2.0, 77.0] {
            let gradient = -0.1 / (1.0 + (0.1 * x).exp()) * 1e-319;
            let claim = Claim {
                gradient,
                value: f(x),
                size: f(x),
                reach: x.abs() * gradient.abs(),
                typical: 1e-320,
            };
            let verdicts = judge(&[claim], Kinks::Apart, |_, offset| Ok(vec![f(x + offset)]));
            let verdict = verdicts.expect("f does not fail")[0];
            assert!(matches!(verdict, Verdict::Agrees | Verdict::Unseen), "{x}: {verdict:?}");
        }
    }

    #[test]
    fn a_vertical_tangent_has_no_gradient() {
        check_wrong(|x| x.max(0.0).sqrt(), 0.0, 0.0);
        check_wrong(|x| x.max(0.0).sqrt(), 0.0, 1e6);
    }
}
