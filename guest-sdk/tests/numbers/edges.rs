//! What functions do at zero, far out, at ties and at NaN: exactly, since authors rely on it.

use guest_sdk::{Dual, Scalar, Var};

use crate::functions::FUNCTIONS;
use crate::{by_dual, by_var};

const INFINITY: f64 = f64::INFINITY;
const LN_2: f64 = std::f64::consts::LN_2;

/// Asserts value and slope of a function at a point, to the last bit but for the sign of zero.
#[track_caller]
fn check(f: fn(Dual) -> Dual, x: f64, value: f64, slope: f64) {
    let [found_value, found_slope, _] = by_dual(x, 0.0, |x, _| f(x));
    assert_eq!((found_value, found_slope), (value, slope), "at {x}");
}

#[test]
fn sigmoid_saturates_without_overflow() {
    check(Scalar::sigmoid, 0.0, 0.5, 0.25);
    check(Scalar::sigmoid, 1000.0, 1.0, 0.0);
    check(Scalar::sigmoid, -1000.0, 0.0, 0.0);
    check(Scalar::sigmoid, f64::MAX, 1.0, 0.0);
    check(Scalar::sigmoid, f64::MIN, 0.0, 0.0);
    // σ′(±40) = e⁻⁴⁰ to 17 digits, where 1 − σ would have none left
    check(Scalar::sigmoid, 40.0, 1.0, (-40.0_f64).exp());
    check(Scalar::sigmoid, -40.0, (-40.0_f64).exp(), (-40.0_f64).exp());
}

#[test]
fn log_sigmoid_and_softplus_are_straight_on_one_side_and_zero_on_the_other() {
    check(Scalar::log_sigmoid, 0.0, -LN_2, 0.5);
    check(Scalar::log_sigmoid, -1000.0, -1000.0, 1.0);
    check(Scalar::log_sigmoid, 1000.0, 0.0, 0.0);
    check(Scalar::log_sigmoid, f64::MIN, f64::MIN, 1.0);
    check(Scalar::softplus, 0.0, LN_2, 0.5);
    check(Scalar::softplus, 1000.0, 1000.0, 1.0);
    check(Scalar::softplus, -1000.0, 0.0, 0.0);
    check(Scalar::softplus, f64::MAX, f64::MAX, 1.0);
    check(Scalar::softplus, -40.0, (-40.0_f64).exp(), (-40.0_f64).exp());
}

#[test]
fn kinks_have_the_documented_slope() {
    check(Scalar::relu, 0.0, 0.0, 0.0);
    check(Scalar::relu, -0.0, 0.0, 0.0);
    check(Scalar::relu, f64::MIN_POSITIVE, f64::MIN_POSITIVE, 1.0);
    check(Scalar::abs, 0.0, 0.0, 0.0);
    check(Scalar::abs, -0.0, 0.0, 0.0);
    check(|x| x.clamp(-1.0, 1.0), 1.0, 1.0, 1.0);
    check(|x| x.clamp(-1.0, 1.0), -1.0, -1.0, 1.0);
    check(|x| x.clamp(-1.0, 1.0), 1.5, 1.0, 0.0);
}

#[test]
fn a_tie_takes_the_first() {
    assert_eq!(by_dual(2.0, 2.0, Scalar::maximum), [2.0, 1.0, 0.0]);
    assert_eq!(by_dual(2.0, 2.0, Scalar::minimum), [2.0, 1.0, 0.0]);
    assert_eq!(by_var(2.0, 2.0, |x, y| x.maximum(y)), [2.0, 1.0, 0.0]);
    assert_eq!(by_var(2.0, 2.0, |x, y| x.minimum(y)), [2.0, 1.0, 0.0]);
    assert_eq!(by_dual(1.0, 2.0, Scalar::maximum), [2.0, 0.0, 1.0]);
    assert_eq!(by_dual(1.0, 2.0, Scalar::minimum), [1.0, 1.0, 0.0]);
}

#[test]
fn exponentials_overflow_to_infinity_and_vanish_to_zero() {
    check(Scalar::exp, 710.0, INFINITY, INFINITY);
    check(Scalar::exp, -1000.0, 0.0, 0.0);
    check(Scalar::exp_m1, -1000.0, -1.0, 0.0);
    check(Scalar::exp_m1, 1e-300, 1e-300, 1.0);
    check(Scalar::tanh, 1000.0, 1.0, 0.0);
    check(Scalar::tanh, -1000.0, -1.0, 0.0);
    check(Scalar::tanh, 20.0, 1.0, 4.0 * (-40.0_f64).exp());
}

#[test]
fn the_edges_of_domains_are_infinite_and_beyond_is_nan() {
    check(Scalar::ln, 0.0, -INFINITY, INFINITY);
    check(Scalar::ln_1p, -1.0, -INFINITY, INFINITY);
    check(Scalar::sqrt, 0.0, 0.0, INFINITY);
    check(Scalar::recip, INFINITY, 0.0, 0.0);
    check(|x| x.powi(0), 0.0, 1.0, 0.0);
    check(|x| x.powf(1.0), 0.0, 0.0, 1.0);
    check(|x| x.powi(2), 0.0, 0.0, 0.0);
    let beyond: [fn(Dual) -> Dual; 4] =
        [Scalar::ln, Scalar::sqrt, |x| x.powf(0.5), |x| (x - 1.0).ln_1p()];
    for f in beyond {
        assert!(by_dual(-1.0, 0.0, |x, _| f(x))[0].is_nan());
    }
}

#[test]
fn erf_has_its_tabulated_values() {
    // Abramowitz and Stegun, table 7.1
    for (x, expected) in [(0.5, 0.5204998778), (1.0, 0.8427007929), (2.0, 0.9953222650)] {
        let found: f64 = Scalar::erf(x);
        assert!((found - expected).abs() < 1e-10, "erf {x} = {expected}, got {found}");
    }
}

#[test]
fn nan_goes_through_every_function() {
    for function in FUNCTIONS {
        let name = function.name;
        assert!((function.of_plain)(f64::NAN).is_nan(), "{name}");
        assert!(by_dual(f64::NAN, 0.0, |x, _| (function.of_dual)(x))[0].is_nan(), "{name}");
        assert!(by_var(f64::NAN, 0.0, |x, _| (function.of_var)(x))[0].is_nan(), "{name}");
    }
    assert!(by_dual(0.0, f64::NAN, Scalar::maximum)[0].is_nan());
    assert!(by_dual(0.0, f64::NAN, Scalar::minimum)[0].is_nan());
}

#[test]
fn a_branch_not_taken_leaves_no_trace() {
    // √0 has an infinite slope, and 0·∞ would be NaN
    let dual = by_dual(0.0, 3.0, |x, y| Dual::select(x > 0.0, x.sqrt(), 2.0 * y));
    let var = by_var(0.0, 3.0, |x, y| Var::select(x > 0.0, x.sqrt(), 2.0 * y));
    assert_eq!(dual, [6.0, 0.0, 2.0]);
    assert_eq!(var, [6.0, 0.0, 2.0]);
}
