//! Every property on a few seeds that are the same everywhere: a fuzzer's first minutes, on every test run.

use std::collections::BTreeSet;

use properties::{Verdict, bytes};

/// Runs the property on no bytes and on seeds `0..n_runs`; the verdicts that it met.
fn check(name: &str, n_runs: u64) -> BTreeSet<Verdict> {
    let (_, check) = properties::ALL
        .into_iter()
        .find(|(known, _)| *known == name)
        .expect("a property of this name");
    let nothing = [check(&[])];
    let seeded = (0..n_runs).map(|seed| check(&bytes(seed)));
    nothing.into_iter().chain(seeded).collect()
}

#[track_caller]
fn check_met(verdicts: &BTreeSet<Verdict>, expected: &[&'static str]) {
    assert!(verdicts.contains(&Verdict::Accepted), "{verdicts:?}");
    for rule in expected {
        assert!(verdicts.contains(&Verdict::Rejected(rule)), "no input met {rule}: {verdicts:?}");
    }
}

#[test]
fn any_text_is_audited() {
    let verdicts = check("source_audit", 1_500);
    check_met(
        &verdicts,
        &[
            "source/size",
            "source/nesting",
            "source/syntax",
            "source/hidden-characters",
            "source/no-include",
            "source/paths",
        ],
    );
}

#[test]
fn any_bytes_are_audited() {
    let verdicts = check("component_audit", 1_000);
    check_met(&verdicts, &["component/valid", "component/no-imports", "component/structure"]);
}

#[test]
fn any_plugin_is_called() {
    let verdicts = check("plugin_call", 200);
    check_met(&verdicts, &["run/trap", "run/lengths"]);
}

#[test]
fn any_pairs_file_is_read() {
    check_met(&check("pairs_json", 2_000), &[]);
}
