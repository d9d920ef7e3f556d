//! The functions themselves, one element at a time, as types: a loop over elements is compiled once for each.

use crate::elementary::{logistic, normal};

/// A differentiable function of one number.
pub(crate) trait Curve {
    /// f(x) and f′(x). Whoever needs one of them pays for one of them.
    fn value_and_slope(x: f32) -> (f32, f32);
}

pub(crate) struct Silu;
pub(crate) struct Gelu;
pub(crate) struct GeluTanh;
pub(crate) struct Relu;

impl Curve for Silu {
    /// σ(x)·x and σ·(1 + x·(1 − σ)).
    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        let (sigma, rest) = logistic(x);
        (x * sigma, sigma * (1.0 + x * rest))
    }
}

impl Curve for Gelu {
    /// x·Φ(x) and Φ(x) + x·φ(x).
    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        let (below, density) = normal(x);
        (x * below, below + x * density)
    }
}

impl Curve for GeluTanh {
    /// With v = 2u = 2·√(2/π)·(x + 0.044715·x³), x·σ(v) and σ + x·σ·(1 − σ)·v′.
    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        const LINEAR: f32 = 1.595_769; // 2·√(2/π)
        const CUBIC: f32 = 0.044_715 * LINEAR;
        // Beyond ±10 σ is 0 or 1 to the last digit, and the cube does not overflow.
        let limited = if x > 10.0 { 10.0 } else { x };
        let limited = if limited < -10.0 { -10.0 } else { limited };
        let square = limited * limited;
        let (sigma, rest) = logistic(limited * (LINEAR + CUBIC * square));
        let slope = LINEAR + 3.0 * CUBIC * square;
        (x * sigma, sigma + limited * (sigma * rest) * slope)
    }
}

impl Curve for Relu {
    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        if x > 0.0 { (x, 1.0) } else { (0.0 * x, 0.0) }
    }
}
