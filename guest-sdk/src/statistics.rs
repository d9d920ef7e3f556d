//! Statistics over the rows of a batch. Gradients flow through all of them.

use alloc::vec::Vec;

use crate::Scalar;
use crate::scalar::primitive::KEY;

/// Σ xᵢ, added in order. 0 for an empty slice.
pub fn sum<S: Scalar>(x: &[S]) -> S {
    x.iter().copied().reduce(|sum, term| sum + term).unwrap_or(S::from(0.0))
}

/// The arithmetic mean. NaN for an empty slice.
pub fn mean<S: Scalar>(x: &[S]) -> S {
    sum(x) / x.len() as f64
}

/// The sample variance Σ (xᵢ − mean)² / (n − 1). 0 for fewer than two rows.
pub fn variance<S: Scalar>(x: &[S]) -> S {
    if x.len() < 2 {
        return S::from(0.0);
    }
    let mean = mean(x);
    let squares: Vec<S> = x.iter().map(|&row| (row - mean).square()).collect();
    sum(&squares) / (x.len() - 1) as f64
}

/// The sample standard deviation √variance. Where it is 0, so is its gradient.
pub fn std_dev<S: Scalar>(x: &[S]) -> S {
    let variance = variance(x);
    if variance == 0.0 { S::from(0.0) } else { variance.sqrt() }
}

/// The rows in ascending order, each with its gradient; equal rows stay in the order they had.
pub fn sorted<S: Scalar>(x: &[S]) -> Vec<S> {
    let mut rows = x.to_vec();
    rows.sort_by(|a, b| a.value(KEY).total_cmp(&b.value(KEY)));
    rows
}

/// ln Σ e^xᵢ of finite rows, without overflow. −∞ for an empty slice.
pub fn log_sum_exp<S: Scalar>(x: &[S]) -> S {
    let Some(largest) = x.iter().map(|row| row.value(KEY)).reduce(f64::max) else {
        return S::from(f64::NEG_INFINITY);
    };
    let terms: Vec<S> = x.iter().map(|&row| (row - largest).exp()).collect();
    sum(&terms).ln() + largest
}
