//! The discovered losses and KTO on pairs, against their formulas written down plainly: values and derivatives.
//!
//! The plain formulas are right where nothing saturates, so the log-ratios are small, and the settings put
//! the statistics of the batch where they matter. They are computed on numbers that carry one derivative
//! (first order, by the rules that every textbook has), which owe nothing to the SDK's.

use guest_sdk::Pairs;
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::pairs::{assert_close, spread_pairs};
use crate::plugins::{With, named};

/// A value and its derivative by the log-prob that is looked at.
#[derive(Debug, Clone, Copy)]
struct Number {
    value: f64,
    slope: f64,
}

/// The log-probs of a batch; `slope` is 1 for one of the policy's and 0 for all others.
struct Rows {
    policy_chosen: Vec<Number>,
    policy_rejected: Vec<Number>,
    reference_chosen: Vec<Number>,
    reference_rejected: Vec<Number>,
}

/// Losses of (log-probs, beta, tau).
type Formula = fn(&Rows, f64, f64) -> Vec<Number>;

/// Holds a plugin against a formula.
#[track_caller]
fn check(name: &str, formula: Formula) {
    for (beta, tau) in [(0.05, 0.05), (0.3, 0.5), (1.0, 2.0)] {
        for (n_pairs, width) in [(1, 4.0), (2, 4.0), (64, 1.0), (64, 16.0)] {
            let plugin = named(name);
            let has_tau = (plugin.describe)().hyperparameters.iter().any(|it| it.name == "tau");
            let settings = &[("beta", beta), ("tau", tau)][..if has_tau { 2 } else { 1 }];
            let pairs = spread_pairs(n_pairs, width);
            let found = plugin.with(&pairs, settings);
            let what = format!("{name} {settings:?}, {n_pairs} pairs over {width}");
            let losses = formula(&Rows::new(&pairs, None), beta, tau);
            let values: Vec<f64> = losses.iter().map(|loss| loss.value).collect();
            assert_close(&found.losses, &values, 1e-12, &what);
            for (side, gradient) in
                [(Side::Chosen, &found.policy_chosen), (Side::Rejected, &found.policy_rejected)]
            {
                let slope = |row| -> f64 {
                    let losses = formula(&Rows::new(&pairs, Some((side, row))), beta, tau);
                    losses.iter().map(|loss| loss.slope).sum()
                };
                let slopes: Vec<f64> = (0..n_pairs).map(slope).collect();
                assert_close(gradient, &slopes, 1e-12, &format!("{what}, {side:?}"));
            }
        }
    }
}

#[test]
fn padll_is_its_formula() {
    check("padll", |pairs, beta, _| {
        let weight = |rho: Number| if rho.value >= 0.0 { 0.9 } else { 0.45 };
        margins(pairs).map(|rho| logistic(rho * beta) * weight(rho)).collect()
    });
}

#[test]
fn cell_is_its_formula() {
    check("cell", |pairs, beta, _| {
        let x = margins(pairs).map(|rho| rho * beta);
        x.map(|x| (logistic(x) + exponential(x)) / 2.0).collect()
    });
}

#[test]
fn pfl_is_its_formula() {
    check("pfl", |pairs, beta, tau| {
        let rows = margins(pairs).zip(&pairs.policy_chosen).zip(&pairs.policy_rejected);
        rows.map(|((rho, chosen), rejected)| {
            let z = rho * beta / tau;
            if chosen.value > rejected.value { logistic(z) * 0.5 } else { hinge(z) * 2.0 }
        })
        .collect()
    });
}

#[test]
fn kto_pair_is_its_formula() {
    check("kto_pair", |pairs, beta, _| {
        let z_chosen = positive(mean(&chosen_logratios(pairs)));
        let z_rejected = positive(mean(&rejected_logratios(pairs)));
        let rows = chosen_logratios(pairs).into_iter().zip(rejected_logratios(pairs));
        rows.map(|(a, b)| sigmoid((z_rejected - a) * beta) + sigmoid((b - z_chosen) * beta))
            .collect()
    });
}

#[test]
fn dbaql_is_its_formula() {
    check("dbaql", |pairs, beta, tau| {
        let x: Vec<Number> = margins(pairs).map(|rho| rho * beta).collect();
        let z: Vec<Number> = x.iter().map(|x| *x / tau).collect();
        let (c, not_c) = (sigmoid(variance(&z)), sigmoid(-variance(&z)));
        x.iter().map(|x| c * logistic(*x / 0.9) + not_c * exponential(*x * 0.9)).collect()
    });
}

#[test]
fn aql_is_its_formula() {
    check("aql", |pairs, beta, tau| {
        let x: Vec<Number> = margins(pairs).map(|rho| rho * beta).collect();
        let share: Vec<Number> = x.iter().map(|x| sigmoid(*x / tau)).collect();
        let m = (mean(&share) + -0.5) * 0.01 + 0.5;
        let blend = |x: Number| {
            let q = sigmoid(m * tau - x);
            q * logistic(x) + (-q + 1.0) * hinge(x)
        };
        x.into_iter().map(blend).collect()
    });
}

#[test]
fn aqfl_is_its_formula() {
    check("aqfl", |pairs, beta, tau| {
        let x: Vec<Number> = margins(pairs).map(|rho| rho * beta).collect();
        let z: Vec<Number> = x.iter().map(|x| *x / tau).collect();
        let below: Vec<Number> = z.iter().map(|z| sigmoid(-*z)).collect();
        let m1 = root(variance(&z)) * mean(&below);
        let m2 = m1 + (sigmoid(mean(&z)) - m1) * 0.05;
        let blend = |x: Number| {
            let r = sigmoid(magnitude(x / tau - m2) * 0.1);
            r * logistic(x) + (-r + 1.0) * hinge(x)
        };
        x.into_iter().map(blend).collect()
    });
}

fn chosen_logratios(rows: &Rows) -> Vec<Number> {
    differences(&rows.policy_chosen, &rows.reference_chosen)
}

fn rejected_logratios(rows: &Rows) -> Vec<Number> {
    differences(&rows.policy_rejected, &rows.reference_rejected)
}

fn margins(rows: &Rows) -> impl Iterator<Item = Number> {
    differences(&chosen_logratios(rows), &rejected_logratios(rows)).into_iter()
}

fn differences(left: &[Number], right: &[Number]) -> Vec<Number> {
    left.iter().zip(right).map(|(left, right)| *left - *right).collect()
}

fn sigmoid(x: Number) -> Number {
    let value = 1.0 / (1.0 + (-x.value).exp());
    x.through(value, value / (1.0 + x.value.exp()))
}

fn logistic(x: Number) -> Number {
    x.through((-x.value).exp().ln_1p(), -1.0 / (1.0 + x.value.exp()))
}

fn exponential(x: Number) -> Number {
    let value = (-x.value).exp();
    x.through(value, -value)
}

fn hinge(x: Number) -> Number {
    positive(-x + 1.0)
}

fn positive(x: Number) -> Number {
    x.through(x.value.max(0.0), if x.value > 0.0 { 1.0 } else { 0.0 })
}

fn magnitude(x: Number) -> Number {
    x.through(x.value.abs(), x.value.signum())
}

/// 0 at 0, as the plugins have it.
fn root(x: Number) -> Number {
    let value = x.value.sqrt();
    x.through(value, if value > 0.0 { 0.5 / value } else { 0.0 })
}

fn mean(x: &[Number]) -> Number {
    x.iter().copied().sum::<Number>() / x.len() as f64
}

fn variance(x: &[Number]) -> Number {
    if x.len() < 2 {
        return Number::constant(0.0);
    }
    let mean = mean(x);
    let squares = x.iter().map(|x| (*x - mean) * (*x - mean));
    squares.sum::<Number>() / (x.len() - 1) as f64
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Chosen,
    Rejected,
}

impl Rows {
    fn new(pairs: &Pairs, by: Option<(Side, usize)>) -> Self {
        let policy = |logps: &[f64], side: Side| -> Vec<Number> {
            let number = |(row, value): (usize, &f64)| Number {
                value: *value,
                slope: if by == Some((side, row)) { 1.0 } else { 0.0 },
            };
            logps.iter().enumerate().map(number).collect()
        };
        let constant = |logps: &[f64]| logps.iter().map(|logp| Number::constant(*logp)).collect();
        Self {
            policy_chosen: policy(&pairs.policy_chosen_logps, Side::Chosen),
            policy_rejected: policy(&pairs.policy_rejected_logps, Side::Rejected),
            reference_chosen: constant(&pairs.reference_chosen_logps),
            reference_rejected: constant(&pairs.reference_rejected_logps),
        }
    }
}

impl Number {
    fn constant(value: f64) -> Self {
        Self { value, slope: 0.0 }
    }

    /// f(x) from the value and the derivative of f at x.
    fn through(self, value: f64, derivative: f64) -> Self {
        Self { value, slope: derivative * self.slope }
    }
}

impl Add for Number {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, slope: self.slope + other.slope }
    }
}

impl Sub for Number {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Number {
    type Output = Self;
    fn neg(self) -> Self {
        self.through(-self.value, -1.0)
    }
}

impl Mul for Number {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self {
            value: self.value * other.value,
            slope: self.slope * other.value + self.value * other.slope,
        }
    }
}

impl Add<f64> for Number {
    type Output = Self;
    fn add(self, constant: f64) -> Self {
        self.through(self.value + constant, 1.0)
    }
}

impl Mul<f64> for Number {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        self.through(self.value * factor, factor)
    }
}

impl Div<f64> for Number {
    type Output = Self;
    fn div(self, divisor: f64) -> Self {
        self.through(self.value / divisor, 1.0 / divisor)
    }
}

impl Sum for Number {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::constant(0.0), |total, number| total + number)
    }
}
