//! `exp`, `tanh`, the logistic function and the normal distribution, one element at a time.
//!
//! Branch-free arithmetic that LLVM turns into vector instructions inside a loop of `vector::vectorised`. Nothing is
//! contracted or reordered, so these functions give the same bits on every instruction set. NaN stays NaN.

/// eˣ with a relative error below 1.2e-7; 0 below −87.3 (where it would be subnormal) and e⁸⁸ above 88.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    let limited = if x > 88.0 { 88.0 } else { x };
    let limited = if limited < LOWEST { LOWEST } else { limited };
    let (power, rest) = power_and_rest(limited);
    let result = (1.0 + rest) * power;
    if x < LOWEST { 0.0 } else { result }
}

/// eˣ − 1 for −87 ≤ x ≤ 88, to a few units in the last place even where x is small.
#[inline(always)]
fn exp_minus_one(x: f32) -> f32 {
    let (power, rest) = power_and_rest(x);
    rest * power + (power - 1.0)
}

/// 2ⁿ and eʳ − 1 with eˣ = 2ⁿ·eʳ, for −87.3 ≤ x ≤ 88.
///
/// With n the integer nearest to x/ln 2 and r = x − n·ln 2, |r| ≤ ln 2 / 2. The Taylor polynomial of degree 7 leaves
/// out less than 1.05·r⁸/8! ≤ 5.5e-9, a tenth of a rounding (6e-8), so that what remains is the rounding of the last
/// two steps. ln 2 is split in two so that n·HIGH is exact for |n| < 2⁹ and r keeps all its digits (Cody and Waite
/// 1980).
#[inline(always)]
fn power_and_rest(x: f32) -> (f32, f32) {
    const LN_2_HIGH: f32 = 0.693_359_4; // 355/512, 9 bits
    const LN_2_LOW: f32 = -2.121_944_4e-4; // ln 2 − 355/512
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding it leaves the nearest integer in the low bits
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut polynomial = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        polynomial = polynomial * r + coefficient;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    (f32::from_bits(exponent), r + r * r * polynomial)
}

/// σ(x) = 1/(1 + e⁻ˣ) and 1 − σ(x) = e⁻ˣ·σ(x), both with small relative errors; for x below −88 σ stays at
/// σ(−88) = 6e-39.
#[inline(always)]
pub(crate) fn logistic(x: f32) -> (f32, f32) {
    let e = exp(-x);
    let sigma = 1.0 / (1.0 + e);
    (sigma, e * sigma)
}

/// tanh x = (e²ˣ − 1)/(e²ˣ + 1) with a relative error below 3e-7, down to the smallest arguments.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Beyond ±10 it is ±1 to the last digit.
    let limited = if x > 10.0 { 10.0 } else { x };
    let limited = if limited < -10.0 { -10.0 } else { limited };
    let e = exp_minus_one(2.0 * limited);
    e / (e + 2.0)
}

/// The normal distribution Φ(x) = (1 + erf(x/√2))/2 and its density φ(x) = exp(−x²/2)/√(2π), with absolute errors
/// below 1.6e-7 and, for x > −6, relative ones below 2e-6.
///
/// With a = |x| and t = 1/(1 + 0.34·a), the tail Φ(−a) = exp(−a²/2)·t·P(t); P was fitted to 3.1e-8, half a rounding, by
/// a weighted least-squares iteration (Lawson 1961). The form is Hastings' (Abramowitz and Stegun 7.1.26): one
/// exponential serves both results, and the lower tail keeps its relative precision.
#[inline(always)]
pub(crate) fn normal(x: f32) -> (f32, f32) {
    const DENSITY_AT_0: f32 = 0.398_942_3; // 1/√(2π)
    const P: [f32; 8] = [
        0.139_515_71,
        -0.273_163_3,
        0.202_214_08,
        -0.044_737_666,
        0.115_366_3,
        0.115_196_09,
        0.136_112_38,
        0.135_620_5,
    ];
    let e = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.34 * x.abs());
    let mut polynomial = -0.026_124_09;
    for p in P {
        polynomial = polynomial * t + p;
    }
    let tail = e * (t * polynomial);
    (if x < 0.0 { tail } else { 1.0 - tail }, DENSITY_AT_0 * e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::exact_normal;

    #[test]
    fn exp_has_a_small_relative_error() {
        let mut worst = 0.0_f64;
        for step in -872_000..880_000 {
            let x = step as f32 * 1e-4;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / exact - 1.0).abs());
        }
        assert!(worst < 1.2e-7, "worst relative error {worst:e}");
    }

    #[test]
    fn exp_at_the_edges() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-87.31), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), exp(88.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_has_a_small_relative_error_down_to_the_smallest_arguments() {
        let mut worst = 0.0_f64;
        for i in 0..800_000 {
            let size = 10.0_f32.powf(i as f32 * 1e-5 - 6.0);
            let x = if i % 2 == 0 { size } else { -size };
            worst = worst.max((f64::from(tanh(x)) / f64::from(x).tanh() - 1.0).abs());
        }
        assert!(worst < 3e-7, "worst relative error {worst:e}");
    }

    #[test]
    fn the_normal_distribution_and_its_density_have_small_errors() {
        let (mut worst, mut worst_tail, mut worst_density) = (0.0_f64, 0.0_f64, 0.0_f64);
        for step in -60_000..=60_000 {
            let x = step as f32 * 1e-4;
            let (below, density) = normal(x);
            let exact = exact_normal(f64::from(x));
            worst = worst.max((f64::from(below) - exact).abs());
            worst_tail = worst_tail.max((f64::from(below) / exact - 1.0).abs());
            let exact = (-0.5 * f64::from(x).powi(2)).exp() / (2.0 * std::f64::consts::PI).sqrt();
            worst_density = worst_density.max((f64::from(density) - exact).abs());
        }
        assert!(worst < 1.6e-7, "worst error {worst:e}");
        assert!(worst_tail < 2e-6, "worst relative error {worst_tail:e}");
        assert!(worst_density < 1.2e-7, "worst error of the density {worst_density:e}");
    }

    #[test]
    fn the_edges() {
        let tanh_at = [f32::INFINITY, 0.0, f32::NEG_INFINITY].map(tanh);
        assert_eq!(tanh_at, [1.0, 0.0, -1.0]);
        let normal_at = [f32::INFINITY, 0.0, f32::NEG_INFINITY].map(|x| normal(x).0);
        assert_eq!(normal_at, [1.0, 0.5, 0.0]);
        assert_eq!((logistic(f32::INFINITY), logistic(0.0)), ((1.0, 0.0), (0.5, 0.5)));
        assert!(logistic(-1e4).0 < 1e-37);
        let at_nan = [tanh(f32::NAN), normal(f32::NAN).0, logistic(f32::NAN).0];
        assert!(at_nan.iter().all(|y| y.is_nan()));
    }
}
