//! The rules' pages: every example is rejected or accepted as it says.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use sandbox::rules::{self, Example};
use sandbox::{CachePolicy, Options, ProbedPlugin, Rejection, Sandbox, Submission};

use crate::support::{cache, child, sandbox, validate, verdict};

#[test]
fn rules_have_names_of_their_own_and_tell_what_to_do() {
    let mut names = HashSet::new();
    for rule in rules::all() {
        assert!(names.insert(rule.name), "{} twice", rule.name);
        for text in [rule.what, rule.why, rule.hint] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{}: {text:?}", rule.name);
        }
    }
}

/// An example put through all gates.
fn outcome(example: Example) -> Result<ProbedPlugin, Rejection> {
    match example {
        Example::Source(text) => validate(text),
        Example::LongSource { text, .. } => validate(&text()),
        Example::Component(text) => load(&[("plugin.wasm", &wat::parse_str(text).unwrap())]),
        Example::NoneKnown(_) => panic!("there is nothing to run"),
        Example::LongComponent { text, .. } => {
            load(&[("plugin.wasm", &wat::parse_str(text()).unwrap())])
        }
        Example::Crate(files) => {
            let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
            load(&files)
        }
    }
}

/// A component by itself, or a crate's folder.
fn load(files: &[(&str, &[u8])]) -> Result<ProbedPlugin, Rejection> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let path = match files {
        [(component, _)] => folder.path().join(component),
        _ => folder.path().to_owned(),
    };
    verdict(sandbox().load(&path))
}

/// No candidate is known that breaks these: fake children play them where plugins are run.
const PLAYED_BY_THEIR_OWN_TESTS: [&str; 2] = ["run/timeout", "run/crash"];

#[test]
fn what_a_page_rejects_is_rejected_by_its_rule_and_what_it_accepts_passes_all_gates() {
    let mut passed = HashSet::new();
    for rule in rules::all() {
        if rule.name == "compile/timeout" {
            check_timeout(rule.rejected);
            continue;
        }
        if matches!(rule.rejected, Example::NoneKnown(_)) {
            assert!(PLAYED_BY_THEIR_OWN_TESTS.contains(&rule.name), "{}", rule.name);
            continue;
        }
        let rejection = outcome(rule.rejected).expect_err(rule.name);
        assert_eq!(rejection.rule, rule.name, "{rejection:?}");
        assert_eq!(rejection.hint, rule.hint);
        if passed.insert(format!("{:?}", rule.accepted)) {
            let verdict = outcome(rule.accepted).map_err(|rejection| rejection.rule);
            assert_eq!(verdict.err(), None, "{}", rule.name);
        }
    }
}

/// What takes minutes takes longer than a second, too, which is all that a test has.
fn check_timeout(example: Example) {
    let Example::LongSource { text, .. } = example else {
        panic!("compile/timeout shows a long source");
    };
    let mut options = Options::new(cache(), child());
    options.cache = CachePolicy::Off;
    options.compile_wall = Duration::from_secs(2);
    let hurried = Sandbox::open(options).unwrap();
    let submission = Submission::one_file(&text());
    let rejection = verdict(hurried.admit(&submission)).expect_err("compile/timeout");
    assert_eq!(rejection.rule, "compile/timeout", "{rejection:?}");
}
