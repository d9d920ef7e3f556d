//! Statistics of a batch, with gradients through them, against closed forms.

use guest_sdk::prelude::*;
use guest_sdk::{Gradients, evaluate_batch};

use crate::pairs;

const X: [f64; 4] = [1.0, -2.0, 4.0, 9.0];
const MEAN: f64 = 3.0;
/// (4 + 25 + 1 + 36) / 3.
const VARIANCE: f64 = 22.0;

/// One statistic of the chosen log-probs as the first row's loss, 0 in the other rows.
fn statistic(x: &[f64], f: impl for<'t> Fn(&[Var<'t>]) -> Var<'t>) -> Gradients {
    let found = evaluate_batch(&pairs(x, &vec![0.0; x.len()]), |batch| {
        let mut losses = vec![Var::from(0.0); batch.len()];
        losses[0] = f(&batch.map(|pair| pair.policy_chosen));
        losses
    });
    found.expect("well-formed pairs")
}

#[track_caller]
fn check(f: impl for<'t> Fn(&[Var<'t>]) -> Var<'t>, value: f64, slope: impl Fn(f64) -> f64) {
    let found = statistic(&X, f);
    assert!((found.losses[0] - value).abs() < 1e-15 * value.abs().max(1.0), "{}", found.losses[0]);
    for (&x, &found) in X.iter().zip(&found.policy_chosen) {
        assert!(
            (found - slope(x)).abs() < 1e-15,
            "slope at {x}: expected {}, got {found}",
            slope(x)
        );
    }
}

#[test]
fn sum_and_mean_move_with_every_row() {
    check(|x| sum(x), 12.0, |_| 1.0);
    check(|x| mean(x), MEAN, |_| 0.25);
}

#[test]
fn variance_has_the_divisor_n_minus_one() {
    check(|x| variance(x), VARIANCE, |x| 2.0 * (x - MEAN) / 3.0);
    check(|x| std_dev(x), VARIANCE.sqrt(), |x| (x - MEAN) / 3.0 / VARIANCE.sqrt());
}

#[test]
fn one_row_and_equal_rows_have_no_spread_and_no_gradient() {
    for x in [&[5.0][..], &[5.0; 3]] {
        for found in [statistic(x, |x| std_dev(x)), statistic(x, |x| variance(x))] {
            assert_eq!(found.losses[0], 0.0);
            assert!(found.policy_chosen.iter().all(|&slope| slope == 0.0), "{found:?}");
        }
    }
}

#[test]
fn sorting_carries_gradients_to_where_rows_came_from() {
    // Σ rank · x: the slope of a row is its rank
    let found = statistic(&X, |x| {
        let ranked = sorted(x);
        (0..ranked.len()).map(|rank| rank as f64 * ranked[rank]).sum()
    });
    assert_eq!(found.losses[0], 0.0 * -2.0 + 1.0 + 2.0 * 4.0 + 3.0 * 9.0);
    assert_eq!(found.policy_chosen, [1.0, 0.0, 2.0, 3.0]);
}

#[test]
fn equal_rows_keep_their_order_when_sorted() {
    let found = statistic(&[7.0, 7.0, 1.0], |x| sorted(x)[1]);
    assert_eq!(found.policy_chosen, [1.0, 0.0, 0.0]);
}

#[test]
fn log_sum_exp_is_stable_and_its_gradient_is_the_softmax() {
    let total: f64 = X.iter().map(|x| x.exp()).sum();
    check(|x| log_sum_exp(x), total.ln(), |x| x.exp() / total);
    let far = statistic(&[1000.0, 1000.0], |x| log_sum_exp(x));
    assert_eq!(far.losses[0], 1000.0 + std::f64::consts::LN_2);
    assert_eq!(far.policy_chosen, [0.5, 0.5]);
}

#[test]
fn statistics_of_nothing_are_those_of_empty_sums() {
    let nothing: [f64; 0] = [];
    assert_eq!((sum(&nothing), variance(&nothing), std_dev(&nothing)), (0.0, 0.0, 0.0));
    assert_eq!(log_sum_exp(&nothing), f64::NEG_INFINITY);
    assert!(mean(&nothing).is_nan());
    assert!(sorted(&nothing).is_empty());
}
