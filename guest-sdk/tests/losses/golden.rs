//! Values and gradients from PyTorch, 80 rows with margins up to ±1000.

use serde_json::Value;

use crate::pairs::{assert_close, golden, golden_pairs, numbers};
use crate::plugins::{With, named};

const TOLERANCE: f64 = 1e-12;

/// Holds a plugin against every golden entry of that name. `renamed` says what the file calls our
/// hyperparameters.
#[track_caller]
fn check(plugin: &str, entry_name: &str, renamed: &[(&str, &str)], n_entries: usize) {
    let golden = golden();
    let entries: Vec<&Value> = golden["losses"]
        .as_array()
        .expect("a list of entries")
        .iter()
        .filter(|entry| entry["name"] == entry_name && is_ours(entry, renamed))
        .collect();
    assert_eq!(entries.len(), n_entries, "entries of {entry_name}");
    for entry in entries {
        let settings: Vec<(&str, f64)> = renamed
            .iter()
            .map(|(ours, theirs)| (*ours, entry["params"][theirs].as_f64().expect("a parameter")))
            .collect();
        let found = named(plugin).with(&golden_pairs(), &settings);
        let gradient = &entry["grad"];
        let what = |part: &str| format!("{plugin} {settings:?}, {part}");
        assert_close(&found.losses, &numbers(&entry["loss"]), TOLERANCE, &what("loss"));
        let (chosen, rejected) = ("policy_chosen_logps", "policy_rejected_logps");
        assert_close(&found.policy_chosen, &numbers(&gradient[chosen]), TOLERANCE, &what(chosen));
        assert_close(
            &found.policy_rejected,
            &numbers(&gradient[rejected]),
            TOLERANCE,
            &what(rejected),
        );
    }
}

/// Whether an entry has only parameters that our loss has too.
fn is_ours(entry: &Value, renamed: &[(&str, &str)]) -> bool {
    let parameters = entry["params"].as_object().expect("parameters");
    parameters.keys().all(|name| renamed.iter().any(|(_, theirs)| theirs == name))
}

#[test]
fn dpo_is_that_of_pytorch() {
    check("dpo", "sigmoid", &[("beta", "beta")], 2);
}

#[test]
fn cdpo_is_that_of_pytorch() {
    let renamed = [("beta", "beta"), ("label_smoothing", "label_smoothing")];
    check("cdpo", "sigmoid_label_smoothed(cDPO)", &renamed, 2);
}

#[test]
fn slic_is_that_of_pytorch() {
    check("slic", "hinge", &[("beta", "beta")], 2);
}

#[test]
fn ipo_on_sums_is_that_of_pytorch() {
    check("ipo", "ipo_summed(0.24 formula on summed log-probs)", &[("beta", "beta")], 1);
}

#[test]
fn discopop_is_that_of_pytorch() {
    check("discopop", "discopop", &[("beta", "beta"), ("tau", "discopop_tau")], 2);
}

#[test]
fn simpo_is_that_of_pytorch() {
    check("simpo", "simpo", &[("beta", "beta"), ("gamma", "simpo_gamma")], 2);
}
