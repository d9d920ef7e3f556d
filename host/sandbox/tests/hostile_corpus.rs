//! The hostile corpus: every file says in its header which rules may reject it, or that it must pass.
//!
//! Header: `// expect: accepted` or `// expect: rule [rule…]`, then `// note:` with what it tries. This test is a program
//! of its own, so that its memory, its children and what they leave behind are those of the corpus alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot run has failed")]

#[path = "gates/support.rs"]
#[allow(dead_code, unused_imports, reason = "the tests of the gates use the rest of it")]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use support::{sandbox, validate};

/// What the host may take above what it had before the first candidate.
const HOST_MEMORY_BYTES_MAX: u64 = 512 << 20;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile")
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What is wrong with the verdict on a file, if anything is.
fn offence(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let expected: Vec<&str> = text
        .lines()
        .find_map(|line| line.split_once("// expect: "))
        .unwrap_or_else(|| panic!("{name} does not say what to expect"))
        .1
        .split_whitespace()
        .collect();
    let (verdict, message) = match validate(&text) {
        Ok(_) => ("accepted".to_owned(), String::new()),
        Err(rejection) => (rejection.rule, rejection.message),
    };
    (!expected.contains(&verdict.as_str()))
        .then(|| format!("{name}: expected one of {expected:?}, got {verdict}: {message}"))
}

/// What is wrong with any of these, with as many at a time as there are cores, up to eight: the host's memory has a bound.
fn offences(files: &[PathBuf]) -> Vec<String> {
    let n_threads = thread::available_parallelism().map_or(1, NonZero::get).min(8);
    let of_thread = |first| {
        let files = files.iter().skip(first).step_by(n_threads);
        files.filter_map(|path| offence(path)).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..n_threads).map(|first| scope.spawn(move || of_thread(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn hostile_losses_get_the_verdict_that_they_deserve_and_leave_nothing_behind() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("secret"), "not yours").unwrap();
    fs::create_dir(elsewhere.path().join("empty")).unwrap();
    adopt_orphans();
    sandbox();
    let watched = [elsewhere.path(), &corpus(), Path::new(env!("CARGO_MANIFEST_DIR"))];
    let before: Vec<_> = watched.iter().map(|folder| snapshot(folder)).collect();
    let base = memory_bytes("VmRSS");

    let files = files();
    assert!(files.len() > 180, "the corpus is there");
    let offences = offences(&files);
    assert!(offences.is_empty(), "{}", offences.join("\n"));

    let peak = memory_bytes("VmHWM").saturating_sub(base);
    assert!(
        peak < HOST_MEMORY_BYTES_MAX,
        "the host took {peak} bytes above its base, expected less than {HOST_MEMORY_BYTES_MAX}"
    );
    let after: Vec<_> = watched.iter().map(|folder| snapshot(folder)).collect();
    assert_eq!(before, after, "something outside the temporary folders changed");
    assert_eq!(children_left(), Vec::<String>::new());
}

/// Every entry of a folder, not of those below it: its size and when it changed.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            (entry.path(), (metadata.len(), metadata.modified().unwrap()))
        })
        .collect()
}

/// From here on, whoever loses their parent becomes a child of this process, where it can be seen.
#[cfg(target_os = "linux")]
fn adopt_orphans() {
    let this = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(this)).unwrap();
}

/// What `/proc/self/status` says in kB, as bytes.
#[cfg(target_os = "linux")]
fn memory_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// The children that live after a moment in which they may end; one that ended and was not waited for counts as well.
#[cfg(target_os = "linux")]
fn children_left() -> Vec<String> {
    let patience = Instant::now();
    loop {
        let children = children();
        if children.is_empty() || patience.elapsed() > Duration::from_secs(5) {
            return children;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(target_os = "linux")]
fn children() -> Vec<String> {
    let this = std::process::id().to_string();
    let of_this = |status: &str| {
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        parent.is_some_and(|parent| parent.trim() == this)
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("status")).ok())
        .filter(|status| of_this(status))
        .map(|status| status.lines().take(3).collect::<Vec<_>>().join(" "))
        .collect()
}

#[cfg(not(target_os = "linux"))]
compile_error!("what the corpus leaves behind is read from /proc: write this test for your system");
