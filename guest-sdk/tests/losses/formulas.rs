//! The discovered losses and KTO on pairs, against their formulas written down plainly in `f64`.
//!
//! The plain formulas are right where nothing saturates, so the log-ratios are small, and the settings put
//! the statistics of the batch where they matter.

use guest_sdk::Pairs;

use crate::pairs::{assert_close, spread_pairs};
use crate::plugins::{With, named};

/// Holds a plugin against a formula of (pairs, beta, tau).
#[track_caller]
fn check(name: &str, formula: fn(&Pairs, f64, f64) -> Vec<f64>) {
    for (beta, tau) in [(0.05, 0.05), (0.3, 0.5), (1.0, 2.0)] {
        for (n_pairs, width) in [(1, 4.0), (2, 4.0), (64, 1.0), (64, 16.0)] {
            let plugin = named(name);
            let has_tau = (plugin.describe)()
                .hyperparameters
                .iter()
                .any(|it| it.name == "tau");
            let settings = &[("beta", beta), ("tau", tau)][..if has_tau { 2 } else { 1 }];
            let pairs = spread_pairs(n_pairs, width);
            let found = plugin.with(&pairs, settings).losses;
            let what = format!("{name} {settings:?}, {n_pairs} pairs over {width}");
            assert_close(&found, &formula(&pairs, beta, tau), 1e-12, &what);
        }
    }
}

#[test]
fn padll_is_its_formula() {
    check("padll", |pairs, beta, _| {
        let weight = |rho: f64| if rho >= 0.0 { 0.9 } else { 0.45 };
        margins(pairs)
            .map(|rho| weight(rho) * logistic(beta * rho))
            .collect()
    });
}

#[test]
fn cell_is_its_formula() {
    check("cell", |pairs, beta, _| {
        let x = margins(pairs).map(|rho| beta * rho);
        x.map(|x| (logistic(x) + exponential(x)) / 2.0).collect()
    });
}

#[test]
fn pfl_is_its_formula() {
    check("pfl", |pairs, beta, tau| {
        let rows = margins(pairs)
            .zip(&pairs.policy_chosen_logps)
            .zip(&pairs.policy_rejected_logps);
        rows.map(|((rho, chosen), rejected)| {
            let z = beta * rho / tau;
            if chosen > rejected {
                0.5 * logistic(z)
            } else {
                2.0 * hinge(z)
            }
        })
        .collect()
    });
}

#[test]
fn kto_pair_is_its_formula() {
    check("kto_pair", |pairs, beta, _| {
        let z_chosen = mean(&chosen_logratios(pairs)).max(0.0);
        let z_rejected = mean(&rejected_logratios(pairs)).max(0.0);
        let rows = chosen_logratios(pairs)
            .into_iter()
            .zip(rejected_logratios(pairs));
        rows.map(|(a, b)| {
            (1.0 - sigmoid(beta * (a - z_rejected))) + (1.0 - sigmoid(beta * (z_chosen - b)))
        })
        .collect()
    });
}

#[test]
fn dbaql_is_its_formula() {
    check("dbaql", |pairs, beta, tau| {
        let x: Vec<f64> = margins(pairs).map(|rho| beta * rho).collect();
        let z: Vec<f64> = x.iter().map(|x| x / tau).collect();
        let (c, not_c) = (sigmoid(variance(&z)), sigmoid(-variance(&z)));
        x.iter()
            .map(|x| c * logistic(x / 0.9) + not_c * exponential(0.9 * x))
            .collect()
    });
}

#[test]
fn aql_is_its_formula() {
    check("aql", |pairs, beta, tau| {
        let x: Vec<f64> = margins(pairs).map(|rho| beta * rho).collect();
        let share: Vec<f64> = x.iter().map(|x| sigmoid(x / tau)).collect();
        let m = 0.5 + 0.01 * (mean(&share) - 0.5);
        let blend = |x: f64| {
            let q = sigmoid(tau * m - x);
            q * logistic(x) + (1.0 - q) * hinge(x)
        };
        x.into_iter().map(blend).collect()
    });
}

#[test]
fn aqfl_is_its_formula() {
    check("aqfl", |pairs, beta, tau| {
        let x: Vec<f64> = margins(pairs).map(|rho| beta * rho).collect();
        let z: Vec<f64> = x.iter().map(|x| x / tau).collect();
        let below: Vec<f64> = z.iter().map(|z| sigmoid(-z)).collect();
        let m1 = variance(&z).sqrt() * mean(&below);
        let m2 = m1 + 0.05 * (sigmoid(mean(&z)) - m1);
        let blend = |x: f64| {
            let r = sigmoid(0.1 * (x / tau - m2).abs());
            r * logistic(x) + (1.0 - r) * hinge(x)
        };
        x.into_iter().map(blend).collect()
    });
}

fn chosen_logratios(pairs: &Pairs) -> Vec<f64> {
    let rows = pairs
        .policy_chosen_logps
        .iter()
        .zip(&pairs.reference_chosen_logps);
    rows.map(|(policy, reference)| policy - reference).collect()
}

fn rejected_logratios(pairs: &Pairs) -> Vec<f64> {
    let rows = pairs
        .policy_rejected_logps
        .iter()
        .zip(&pairs.reference_rejected_logps);
    rows.map(|(policy, reference)| policy - reference).collect()
}

fn margins(pairs: &Pairs) -> impl Iterator<Item = f64> {
    let rows = chosen_logratios(pairs)
        .into_iter()
        .zip(rejected_logratios(pairs));
    rows.map(|(chosen, rejected)| chosen - rejected)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn logistic(x: f64) -> f64 {
    (-x).exp().ln_1p()
}

fn exponential(x: f64) -> f64 {
    (-x).exp()
}

fn hinge(x: f64) -> f64 {
    (1.0 - x).max(0.0)
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn variance(x: &[f64]) -> f64 {
    if x.len() < 2 {
        return 0.0;
    }
    let mean = mean(x);
    x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (x.len() - 1) as f64
}
