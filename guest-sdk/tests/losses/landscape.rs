//! The shape of DiscoPOP's loss as a function of x = βρ at τ = 0.05: figures known to six digits, each
//! held by the sign of a derivative on both sides of it.

use crate::pairs::pairs_of_logratios;
use crate::plugins::{With, named};

const TAU: f64 = 0.05;

/// f(x) and f′(x).
fn discopop(x: f64, tau: f64) -> (f64, f64) {
    let settings = [("beta", 1.0), ("tau", tau)];
    let found = named("discopop").with(&pairs_of_logratios(&[(x, 0.0)]), &settings);
    (found.losses[0], found.policy_chosen[0])
}

fn slope(x: f64) -> f64 {
    discopop(x, TAU).1
}

/// f″ by differences of f′.
fn curvature(x: f64) -> f64 {
    (slope(x + 1e-7) - slope(x - 1e-7)) / 2e-7
}

/// Asserts that f goes from below 0 to above within `digit` around x.
#[track_caller]
fn assert_rises_through_zero(f: fn(f64) -> f64, x: f64, digit: f64) {
    assert!(
        f(x - digit) < 0.0 && f(x + digit) > 0.0,
        "around {x}: {} {}",
        f(x - digit),
        f(x + digit)
    );
}

#[test]
fn its_minimum_is_left_of_zero() {
    assert_rises_through_zero(slope, -0.118570, 1e-6);
    assert!((discopop(-0.118570, TAU).0 - 0.785924).abs() < 1e-6);
}

#[test]
fn its_maximum_is_right_of_zero() {
    assert_rises_through_zero(|x| -slope(x), 0.072006, 1e-6);
    assert!((discopop(0.072006, TAU).0 - 0.878290).abs() < 1e-6);
}

#[test]
fn at_zero_it_pushes_the_margin_down() {
    let (value, slope) = discopop(0.0, TAU);
    assert!((value - 0.846574).abs() < 1e-6);
    assert!((slope - 0.784264).abs() < 1e-6);
}

#[test]
fn its_inflections_are_where_they_should_be() {
    assert_rises_through_zero(|x| -curvature(x), -0.01449, 1e-5);
    assert_rises_through_zero(curvature, 0.23918, 1e-5);
}

#[test]
fn it_is_monotone_from_a_tau_of_a_tenth_up() {
    let steepest = |tau: f64| {
        let slopes = (-4000..=4000).map(|step| discopop(f64::from(step) * 1e-4, tau).1);
        slopes.fold(f64::NEG_INFINITY, f64::max)
    };
    assert!(steepest(0.109770) > 0.0, "non-monotone below tau = 0.109780");
    assert!(steepest(0.109790) < 0.0, "monotone above tau = 0.109780");
}

#[test]
fn far_out_it_is_logistic_or_exponential() {
    let (left, _) = discopop(-50.0, TAU);
    assert!((left - 50.0).abs() < 1e-12, "ln(1 + e^50) is 50");
    let (right, slope) = discopop(50.0, TAU);
    assert!((right / (-50.0_f64).exp() - 1.0).abs() < 1e-12);
    assert!((slope / -(-50.0_f64).exp() - 1.0).abs() < 1e-12);
}
