//! Gradients of all plugins against central differences of the sum of their losses.
//!
//! The derivative is taken by the five-point rule with a step h of 2⁻¹⁰ nats. The log-probs are multiples
//! of 2⁻³⁰, so the steps themselves are exact. What remains is rounding: a sum of losses S carries an error
//! of about 16 ε Σ|loss| (its terms are a few operations each), the rule multiplies that by 1.5/h, and
//! h⁴/30 of the fifth derivative is far below: 16 · 2.2e-16 · 1.5 · 2¹⁰ ≈ 5.5e-12 of Σ|loss|.

use guest_sdk::Pairs;

use crate::pairs::spread_pairs;
use crate::plugins::{ALL, Plugin, With, named};

const STEP: f64 = 1.0 / 1024.0;
const TOLERANCE: f64 = 1e-11;

/// A list of policy log-probs within pairs.
type Side = fn(&mut Pairs) -> &mut Vec<f64>;

const CHOSEN: Side = |pairs| &mut pairs.policy_chosen_logps;
const REJECTED: Side = |pairs| &mut pairs.policy_rejected_logps;

#[test]
fn gradients_are_those_of_the_losses() {
    for plugin in ALL {
        for (n_pairs, width) in [(1, 4.0), (2, 4.0), (7, 1.0), (64, 16.0), (64, 100.0)] {
            check(plugin, &spread_pairs(n_pairs, width), &[]);
        }
    }
}

#[test]
fn gradients_flow_through_the_statistics_of_the_batch() {
    // At these settings σ of the variance is not saturated, and no statistic is 0.
    for name in ["aqfl", "aql", "dbaql"] {
        check(named(name), &spread_pairs(7, 4.0), &[("beta", 0.5), ("tau", 1.0)]);
    }
    check(named("kto_pair"), &spread_pairs(7, 4.0), &[("beta", 0.5)]);
}

#[track_caller]
fn check(plugin: &Plugin, pairs: &Pairs, settings: &[(&str, f64)]) {
    let found = plugin.with(pairs, settings);
    let scale: f64 = 1.0 + found.losses.iter().map(|loss| loss.abs()).sum::<f64>();
    for row in 0..pairs.len() {
        for (side, gradient) in [(CHOSEN, &found.policy_chosen), (REJECTED, &found.policy_rejected)]
        {
            let expected = slope(plugin, pairs, settings, side, row);
            assert!(
                (gradient[row] - expected).abs() <= TOLERANCE * scale,
                "{} {settings:?}, row {row} of {}: expected {expected:e}, got {:e}",
                plugin.name,
                pairs.len(),
                gradient[row],
            );
        }
    }
}

/// The derivative of the sum of the losses by one log-prob.
fn slope(plugin: &Plugin, pairs: &Pairs, settings: &[(&str, f64)], side: Side, row: usize) -> f64 {
    let at = |steps: f64| {
        let mut moved = pairs.clone();
        side(&mut moved)[row] += steps * STEP;
        plugin.with(&moved, settings).losses.iter().sum::<f64>()
    };
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * STEP)
}
