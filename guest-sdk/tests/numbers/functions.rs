//! Every function of one argument: its value against the standard library's maths, its slope against
//! differences, and the three number types against each other.

use guest_sdk::{Dual, Scalar, Var};

use crate::{by_dual, by_var};

/// A function on every number type, and points in its domain away from kinks.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) of_dual: fn(Dual) -> Dual,
    pub(crate) of_var: for<'t> fn(Var<'t>) -> Var<'t>,
    pub(crate) of_plain: fn(f64) -> f64,
    /// The same from the standard library.
    expected: fn(f64) -> f64,
    grid: &'static [f64],
}

macro_rules! functions {
    ($($name:literal: |$x:ident| $body:expr, $expected:expr, $grid:expr;)*) => {
        pub(crate) const FUNCTIONS: &[Function] = &[$({
            fn generic<S: Scalar>($x: S) -> S {
                $body
            }
            Function {
                name: $name,
                of_dual: |x| generic(x),
                of_var: |x| generic(x),
                of_plain: |x| generic(x),
                expected: $expected,
                grid: $grid,
            }
        }),*];
    };
}

// Multiples of 2⁻⁴, so that the steps of the differences are exact.
const SIGNED: &[f64] = &[-5.0, -2.75, -1.5, -0.5625, -0.125, 0.0625, 0.25, 0.9375, 1.75, 3.0, 5.5];
const POSITIVE: &[f64] = &[0.75, 0.875, 1.0, 1.5, 2.0, 3.25, 5.0];
const ABOVE_MINUS_ONE: &[f64] = &[-0.25, -0.0625, 0.125, 0.5, 1.0, 3.5];
const UP_TO_TWO: &[f64] = &[-2.0, -1.125, -0.25, 0.0, 0.0625, 0.5, 1.0, 1.875];

functions! {
    "exp": |x| x.exp(), f64::exp, SIGNED;
    "exp_m1": |x| x.exp_m1(), f64::exp_m1, SIGNED;
    "ln": |x| x.ln(), f64::ln, POSITIVE;
    "ln_1p": |x| x.ln_1p(), f64::ln_1p, ABOVE_MINUS_ONE;
    "sqrt": |x| x.sqrt(), f64::sqrt, POSITIVE;
    "square": |x| x.square(), |x| x * x, SIGNED;
    "recip": |x| x.recip(), |x| 1.0 / x, POSITIVE;
    "powi(3)": |x| x.powi(3), |x| x * x * x, SIGNED;
    "powi(-2)": |x| x.powi(-2), |x| 1.0 / (x * x), POSITIVE;
    "powf(2.5)": |x| x.powf(2.5), |x| x.powf(2.5), POSITIVE;
    "sin": |x| x.sin(), f64::sin, SIGNED;
    "cos": |x| x.cos(), f64::cos, SIGNED;
    "atan": |x| x.atan(), f64::atan, SIGNED;
    "tanh": |x| x.tanh(), f64::tanh, SIGNED;
    "erf": |x| x.erf(), erf_series, UP_TO_TWO;
    "sigmoid": |x| x.sigmoid(), |x| 1.0 / (1.0 + (-x).exp()), SIGNED;
    "log_sigmoid": |x| x.log_sigmoid(), |x| -(-x).exp().ln_1p(), SIGNED;
    "softplus": |x| x.softplus(), |x| x.exp().ln_1p(), SIGNED;
    "relu": |x| x.relu(), |x| x.max(0.0), SIGNED;
    "abs": |x| x.abs(), f64::abs, SIGNED;
    "maximum(1)": |x| x.maximum(1.0), |x| x.max(1.0), SIGNED;
    "minimum(1)": |x| x.minimum(1.0), |x| x.min(1.0), SIGNED;
    "clamp(-1, 2)": |x| x.clamp(-1.0, 2.0), |x| x.clamp(-1.0, 2.0), SIGNED;
    "-": |x| -x, |x| -x, SIGNED;
}

/// 2/√π Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)), which the standard library lacks.
fn erf_series(x: f64) -> f64 {
    let (mut power, mut sum) = (x, x);
    for n in 1..60 {
        power *= -x * x / f64::from(n);
        sum += power / f64::from(2 * n + 1);
    }
    std::f64::consts::FRAC_2_SQRT_PI * sum
}

#[test]
fn values_are_those_of_the_standard_library() {
    // Both maths libraries are good to a few units in the last place; the plain formulas and the series
    // of erf lose a digit to cancellation.
    for function in FUNCTIONS {
        for &x in function.grid {
            let (found, expected) = ((function.of_plain)(x), (function.expected)(x));
            let apart = (found - expected).abs();
            assert!(
                apart <= 1e-14 * expected.abs(),
                "{} of {x}: {expected:e}, got {found:e}",
                function.name
            );
        }
    }
}

#[test]
fn slopes_are_those_of_the_values() {
    // Five-point rule with h = 2⁻¹⁰: h⁴/30 of a fifth derivative below 700, and 1.5/h roundings.
    let h = 1.0 / 1024.0;
    for function in FUNCTIONS {
        for &x in function.grid {
            let f = |steps: f64| (function.of_plain)(x + steps * h);
            let expected = (8.0 * (f(1.0) - f(-1.0)) - (f(2.0) - f(-2.0))) / (12.0 * h);
            let [value, found, other] = by_dual(x, 0.0, |x, _| (function.of_dual)(x));
            let apart = (found - expected).abs();
            assert!(
                apart <= 1e-10 * (1.0 + value.abs()),
                "{} of {x}: {expected}, got {found}",
                function.name
            );
            assert_eq!(other, 0.0, "{} does not depend on the other log-prob", function.name);
        }
    }
}

#[test]
fn all_number_types_agree_bit_for_bit() {
    let far = [-1e300, -1000.0, -40.0, -1e-300, -0.0, 0.0, 1e-300, 40.0, 1000.0, 1e300];
    for function in FUNCTIONS {
        for &x in function.grid.iter().chain(&far) {
            let dual = by_dual(x, 0.0, |x, _| (function.of_dual)(x));
            let var = by_var(x, 0.0, |x, _| (function.of_var)(x));
            let plain = (function.of_plain)(x);
            let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            assert!(
                same(dual[0], plain) && same(var[0], plain),
                "value of {} of {x}",
                function.name
            );
            // the sign of a zero slope may differ: a tape starts its sums at 0
            assert!(
                dual[1] == var[1] || same(dual[1], var[1]),
                "slope of {} of {x}",
                function.name
            );
        }
    }
}
