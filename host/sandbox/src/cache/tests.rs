//! What is remembered, what is not, and that a remembered answer is the same as a new one.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::{Hyperparameter, Metadata, ProbeReport, Scope, Span, Stage};

const COMPONENT: &[u8] = b"bytes";

fn cache(folder: &Path, notify: Option<Notify>) -> Cache {
    let policy = CachePolicy::Keep { key_file: folder.join("key") };
    Cache::new(folder, policy, Conditions::of("rustc", "sdk", &[]), notify)
}

/// Asks for one file; counts how often the compiler ran.
fn compile(cache: &Cache, text: &str, n_runs: &Cell<usize>) -> Result<Vec<u8>, Rejection> {
    let outcome = cache.compiled("one file", [text.as_bytes()], || {
        n_runs.set(n_runs.get() + 1);
        match text {
            "good" => Ok(Component::from_bytes(COMPONENT.to_vec())),
            rule => {
                let rejection = Rejection::new(Stage::Compile, rule, "wrong", "do it right");
                Err(rejection.at(Span { line: 1, column: 2 }).into())
            }
        }
    });
    match outcome {
        Ok(component) => Ok(component.into_bytes()),
        Err(Failure::Rejected(rejection)) => Err(*rejection),
        Err(Failure::Fault(fault)) => panic!("{fault}"),
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(users) = fs::read_dir(folder.join("verdicts")) else {
        return Vec::new();
    };
    users
        .flat_map(|user| fs::read_dir(user.expect("listed").path()).expect("a folder"))
        .map(|entry| entry.expect("listed").path())
        .collect()
}

#[test]
fn the_compiler_is_asked_once_for_the_same_source() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let n_runs = Cell::new(0);
    for _ in 0..3 {
        // A new process each time.
        let cache = cache(folder.path(), None);
        assert_eq!(compile(&cache, "good", &n_runs), Ok(COMPONENT.to_vec()));
        let rejection = compile(&cache, "compile/rustc", &n_runs).expect_err("rejected");
        assert_eq!(rejection.span, Some(Span { line: 1, column: 2 }));
        assert_eq!(rejection.hint, "do it right");
    }
    assert_eq!(n_runs.get(), 2);
}

#[test]
fn verdicts_of_the_clock_and_of_a_full_machine_are_asked_for_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = cache(folder.path(), None);
    let n_runs = Cell::new(0);
    let rules = [
        "compile/timeout",
        "compile/crash",
        "run/timeout",
        "run/crash",
        "run/trap",
        "run/world",
        "a/rule-of-tomorrow",
    ];
    for rule in rules {
        for _ in 0..2 {
            assert_eq!(compile(&cache, rule, &n_runs).expect_err("rejected").rule, rule);
        }
    }
    assert_eq!(n_runs.get(), 2 * rules.len());
    assert_eq!(entries(folder.path()), [] as [PathBuf; 0]);
    let nowhere = Rejection::new(Stage::Compile, "compile/rustc", "no space left", "");
    assert!(!is_the_same_tomorrow(&nowhere));
}

#[test]
fn a_fault_is_never_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = cache(folder.path(), None);
    for _ in 0..2 {
        let outcome = cache.compiled("one file", [b"x".as_slice()], || {
            Err(Fault::SdkBuild("disk full".to_owned()).into())
        });
        assert!(matches!(outcome, Err(Failure::Fault(_))));
    }
    assert_eq!(entries(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_tampered_entry_is_reported_and_made_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let n_runs = Cell::new(0);
    let first = cache(folder.path(), None);
    assert!(compile(&first, "good", &n_runs).is_ok());
    let [entry] = entries(folder.path()).try_into().expect("one entry");
    let mut bytes = fs::read(&entry).expect("read");
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    fs::write(&entry, bytes).expect("written");

    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let notify: Notify =
        Box::new(move |text| ear.lock().expect("unpoisoned").push(text.to_owned()));
    let second = cache(folder.path(), Some(notify));
    assert_eq!(compile(&second, "good", &n_runs), Ok(COMPONENT.to_vec()));
    assert_eq!(n_runs.get(), 2);
    assert_eq!(compile(&second, "good", &n_runs), Ok(COMPONENT.to_vec()));
    assert_eq!(n_runs.get(), 2, "it was made again once");
    let heard = heard.lock().expect("unpoisoned");
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("tampered"), "{heard:?}");
}

#[test]
fn a_cache_that_cannot_be_used_costs_time_and_is_mentioned_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("key"), "no key").expect("written");
    let heard = Arc::new(Mutex::new(0));
    let ear = Arc::clone(&heard);
    let notify: Notify = Box::new(move |_| *ear.lock().expect("unpoisoned") += 1);
    let cache = cache(folder.path(), Some(notify));
    let n_runs = Cell::new(0);
    for _ in 0..2 {
        assert!(compile(&cache, "good", &n_runs).is_ok());
    }
    assert_eq!(n_runs.get(), 2);
    assert_eq!(*heard.lock().expect("unpoisoned"), 1);
}

#[test]
fn without_a_policy_to_keep_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let conditions = Conditions::of("rustc", "sdk", &[]);
    let cache = Cache::new(folder.path(), CachePolicy::Off, conditions, None);
    let n_runs = Cell::new(0);
    for _ in 0..2 {
        assert!(compile(&cache, "good", &n_runs).is_ok());
    }
    assert_eq!(n_runs.get(), 2);
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
}

#[test]
fn a_probed_answer_reads_back_bit_by_bit() {
    let hyperparameter = |default: f64| Hyperparameter {
        name: "beta".to_owned(),
        default,
        minimum: -0.0,
        maximum: 1e308,
    };
    for citation in [None, Some(String::new()), Some("arXiv:1".to_owned())] {
        let metadata = Metadata {
            name: "loss".to_owned(),
            summary: "a loss — of a kind".to_owned(),
            citation,
            scope: Scope::Batch,
            hyperparameters: vec![hyperparameter(0.1 + 0.2), hyperparameter(5e-324)],
        };
        let report = ProbeReport {
            n_calls: 3,
            fuel_per_pair: 1.0 / 3.0,
            warnings: vec!["jumps at 0".to_owned()],
            ..ProbeReport::default()
        };
        let answer = Answer::Probed(metadata, report);
        let bytes = answer.encode().expect("encoded");
        assert_eq!(Answer::decode(&bytes), Some(answer));
        for end in 0..bytes.len() {
            assert_eq!(Answer::decode(&bytes[..end]), None);
        }
    }
}

#[test]
fn what_would_read_back_otherwise_is_not_kept() {
    let report = ProbeReport { fuel_per_pair: f64::NAN, ..ProbeReport::default() };
    let metadata = Metadata {
        name: "loss".to_owned(),
        summary: String::new(),
        citation: None,
        scope: Scope::Pair,
        hyperparameters: Vec::new(),
    };
    assert_eq!(Answer::Probed(metadata, report).encode(), None);
    let large = vec![0; crate::limits::CACHE_ENTRY_BYTES_MAX];
    assert_eq!(Answer::Component(large).encode(), None);
}
