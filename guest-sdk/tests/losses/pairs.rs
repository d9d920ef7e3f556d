//! Preference pairs for the tests, and how two numbers are compared.

use guest_sdk::Pairs;
use serde_json::Value;

/// The golden file: inputs, and entries with losses and gradients.
pub(crate) fn golden() -> Value {
    let text = include_str!("../../../tests/golden/losses/loss_vectors.json");
    serde_json::from_str(text).expect("the golden file is JSON")
}

/// The numbers of a JSON list.
pub(crate) fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().expect("a list");
    list.iter().map(|number| number.as_f64().expect("a finite number")).collect()
}

/// The 80 golden rows.
pub(crate) fn golden_pairs() -> Pairs {
    let inputs = &golden()["inputs"];
    let logps = |name: &str| numbers(&inputs[name]);
    let tokens = |name: &str| numbers(&inputs[name]).into_iter().map(|n| n as u32).collect();
    Pairs {
        policy_chosen_logps: logps("policy_chosen_logps"),
        policy_rejected_logps: logps("policy_rejected_logps"),
        reference_chosen_logps: logps("ref_chosen_logps"),
        reference_rejected_logps: logps("ref_rejected_logps"),
        chosen_tokens: tokens("chosen_len"),
        rejected_tokens: tokens("rejected_len"),
    }
}

/// Pairs with log-ratios spread evenly over `-width / 2..width / 2`: training moves a policy by a few
/// nats, and the statistics of a batch saturate beyond.
///
/// Every log-prob is a multiple of 2⁻³⁰, so that steps of a power of two above that are exact.
pub(crate) fn spread_pairs(n_pairs: usize, width: f64) -> Pairs {
    let exact = |logp: f64| (logp * 2_f64.powi(30)).round() / 2_f64.powi(30);
    let list = |logp: &dyn Fn(usize) -> f64| (0..n_pairs).map(|row| exact(logp(row))).collect();
    // multiples of the golden and of the silver ratio fall evenly between 0 and 1
    let chosen = |row: usize| width * ((0.3 + 0.618_033_988 * row as f64).fract() - 0.5);
    let rejected = |row: usize| width * ((0.9 + 0.414_213_562 * row as f64).fract() - 0.5);
    let reference_chosen = |row: usize| -20.0 - (7 * row % 31) as f64;
    let reference_rejected = |row: usize| -21.5 - (11 * row % 29) as f64;
    Pairs {
        policy_chosen_logps: list(&|row| reference_chosen(row) + chosen(row)),
        policy_rejected_logps: list(&|row| reference_rejected(row) + rejected(row)),
        reference_chosen_logps: list(&reference_chosen),
        reference_rejected_logps: list(&reference_rejected),
        chosen_tokens: (0..n_pairs as u32).map(|row| 5 + row % 13).collect(),
        rejected_tokens: (0..n_pairs as u32).map(|row| 4 + row % 17).collect(),
    }
}

/// Pairs of one token each with these log-ratios (chosen, rejected) against a reference of 0.
pub(crate) fn pairs_of_logratios(logratios: &[(f64, f64)]) -> Pairs {
    let n_pairs = logratios.len();
    Pairs {
        policy_chosen_logps: logratios.iter().map(|logratio| logratio.0).collect(),
        policy_rejected_logps: logratios.iter().map(|logratio| logratio.1).collect(),
        reference_chosen_logps: vec![0.0; n_pairs],
        reference_rejected_logps: vec![0.0; n_pairs],
        chosen_tokens: vec![1; n_pairs],
        rejected_tokens: vec![1; n_pairs],
    }
}

/// Asserts that every number agrees with the expected one to `tolerance`, relative.
pub(crate) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    for (row, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let apart = (found - expected).abs();
        assert!(
            apart <= tolerance * expected.abs(),
            "{what}, row {row}: expected {expected:e}, got {found:e}"
        );
    }
}
