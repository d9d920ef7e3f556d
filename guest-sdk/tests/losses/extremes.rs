//! At their defaults, all plugins are finite for log-ratios up to ±1000, alone and together.

use crate::pairs::pairs_of_logratios;
use crate::plugins::{ALL, Plugin, With, named};

const LOGRATIOS: [f64; 11] =
    [-1000.0, -999.0, -300.0, -20.0, -1e-9, 0.0, 1e-9, 20.0, 300.0, 999.0, 1000.0];

fn all_combinations() -> Vec<(f64, f64)> {
    let each = |chosen: f64| LOGRATIOS.map(|rejected| (chosen, rejected));
    LOGRATIOS.into_iter().flat_map(each).collect()
}

#[track_caller]
fn assert_finite(plugin: &Plugin, logratios: &[(f64, f64)]) {
    let found = plugin.with(&pairs_of_logratios(logratios), &[]);
    let numbers = [found.losses, found.policy_chosen, found.policy_rejected].concat();
    assert_eq!(numbers.len(), 3 * logratios.len());
    let bad = numbers.iter().position(|number| !number.is_finite());
    assert_eq!(bad, None, "{} of {:?}: {:?}", plugin.name, logratios, bad.map(|at| numbers[at]));
}

#[test]
fn losses_and_gradients_are_finite_for_log_ratios_up_to_a_thousand() {
    for plugin in ALL {
        assert_finite(plugin, &all_combinations());
        for &alone in &all_combinations() {
            assert_finite(plugin, &[alone]);
            assert_finite(plugin, &[alone, alone]);
            assert_finite(plugin, &[alone, (0.0, 0.0)]);
        }
    }
}

#[test]
fn discopop_is_logistic_where_its_exponential_alone_would_overflow() {
    // σ(x/τ) e⁻ˣ as a product is 0·∞ at x = −1000
    let found = named("discopop").with(&pairs_of_logratios(&[(-1000.0, 0.0)]), &[("beta", 1.0)]);
    assert_eq!((found.losses[0], found.policy_chosen[0]), (1000.0, -1.0));
}

#[test]
fn dbaql_keeps_its_exponential_where_one_minus_c_alone_would_vanish() {
    // x = ±x₀, so the variance of x/τ is 2 (x₀/τ)² = 50: c is 1 to the last bit, and yet
    // (1 − c) e^(0.9 x₀) = e^(90 − 50) is the loss of the first row, the second being near 0.
    let pairs = pairs_of_logratios(&[(-100.0, 0.0), (100.0, 0.0)]);
    let found = named("dbaql").with(&pairs, &[("beta", 1.0), ("tau", 20.0)]);
    let expected = 40.0_f64.exp() + 100.0 / 0.9;
    assert!((found.losses[0] / expected - 1.0).abs() < 1e-12, "{:e}", found.losses[0]);
}

#[test]
fn a_batch_without_pairs_has_no_losses() {
    for plugin in ALL {
        let found = plugin.with(&pairs_of_logratios(&[]), &[]);
        assert!(found.losses.is_empty() && found.policy_chosen.is_empty(), "{}", plugin.name);
    }
}

#[test]
fn every_plugin_wants_its_number_of_hyperparameters() {
    for plugin in ALL {
        let n = (plugin.describe)().hyperparameters.len();
        let refusal = (plugin.evaluate)(&pairs_of_logratios(&[(0.0, 0.0)]), &vec![0.1; n + 1]);
        let expected = format!("expected {n} hyperparameters, got {}", n + 1);
        assert_eq!(refusal.err(), Some(expected), "{}", plugin.name);
    }
}
