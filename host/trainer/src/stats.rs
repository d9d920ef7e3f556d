//! Honest statistics for small samples: means with Student's t-interval, the percentile bootstrap.
//!
//! Everything is f64 and summed in the order given, so a result does not depend on threads. Not here:
//! what is averaged (`task`).

use crate::random::Uniforms;

/// The arithmetic mean; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample standard deviation (divisor n − 1); 0 for fewer than two values.
pub fn standard_deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// The standard error of the mean; 0 for fewer than two values.
pub fn standard_error(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    standard_deviation(values) / (values.len() as f64).sqrt()
}

/// The 95 % interval `(low, high)` of the mean by Student's t; infinite for fewer than two values.
pub fn t_interval_95(values: &[f64]) -> (f64, f64) {
    if values.len() < 2 {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let half = t_quantile_975(values.len() - 1) * standard_error(values);
    (mean(values) - half, mean(values) + half)
}

/// The 97.5 % quantile of Student's t with `freedom` ≥ 1 degrees of freedom.
///
/// Found by bisection of the closed form for whole degrees of freedom (Abramowitz & Stegun 26.7.3–4).
pub fn t_quantile_975(freedom: usize) -> f64 {
    let (mut low, mut high) = (1.0, 16.0);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if t_probability_within(middle, freedom) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// P(|t| ≤ `bound`) for `freedom` degrees of freedom.
fn t_probability_within(bound: f64, freedom: usize) -> f64 {
    let angle = (bound / (freedom as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    let mut term = if odd { cosine } else { 1.0 };
    let mut series = if freedom == 1 { 0.0 } else { term };
    let mut power = if odd { 3 } else { 2 };
    while power < freedom {
        term *= cosine * cosine * (power - 1) as f64 / power as f64;
        series += term;
        power += 2;
    }
    match odd {
        true => std::f64::consts::FRAC_2_PI * (angle + sine * series),
        false => sine * series,
    }
}

/// The percentile bootstrap: the 95 % interval of `statistic` over resamples of `0..n_units` with replacement.
///
/// `statistic` gets the indices of one resample. The same `uniforms` give the same interval.
pub fn bootstrap_95(
    n_units: usize,
    n_resamples: usize,
    uniforms: &mut Uniforms,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> (f64, f64) {
    let mut resample = vec![0; n_units];
    let mut values: Vec<f64> = (0..n_resamples)
        .map(|_| {
            resample.fill_with(|| uniforms.index_below(n_units));
            statistic(&resample)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    (quantile_of_sorted(&values, 0.025), quantile_of_sorted(&values, 0.975))
}

/// The middle value, or the mean of the two in the middle. There must be one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    quantile_of_sorted(&values, 0.5)
}

/// The quantile by linear interpolation between order statistics.
fn quantile_of_sorted(sorted: &[f64], probability: f64) -> f64 {
    let place = probability * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    /// Printed tables of Student's t, to their three decimals.
    #[test]
    fn t_quantiles_agree_with_the_printed_table() {
        for (freedom, expected) in [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (7, 2.365),
            (10, 2.228),
            (30, 2.042),
            (120, 1.980),
        ] {
            let got = t_quantile_975(freedom);
            assert!(
                (got - expected).abs() < 6e-4,
                "{freedom} degrees of freedom: expected {expected}, got {got}"
            );
        }
    }

    /// For 1, 2, 3: mean 2, standard error 1/√3, so half-width 4.303/√3 = 2.484.
    #[test]
    fn interval_of_three_values() {
        let (low, high) = t_interval_95(&[1.0, 2.0, 3.0]);
        assert!((low + 0.484).abs() < 1e-3 && (high - 4.484).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn one_value_says_nothing_about_the_mean() {
        assert_eq!(t_interval_95(&[1.0]), (f64::NEG_INFINITY, f64::INFINITY));
    }

    /// For the mean of many values the bootstrap must agree with the normal interval.
    #[test]
    fn bootstrap_of_a_mean_is_two_standard_errors_wide_on_each_side() {
        let mut uniforms = Uniforms::new(5, Purpose::Bootstrap, 0, 0);
        let values: Vec<f64> = (0..400).map(|_| uniforms.next()).collect();
        let (low, high) = bootstrap_95(values.len(), 2000, &mut uniforms, |rows| {
            rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64
        });
        let half = 1.96 * standard_error(&values);
        assert!((high - low - 2.0 * half).abs() < 0.15 * half, "{low} {high} {half}");
        assert!(low < mean(&values) && mean(&values) < high);
    }
}
