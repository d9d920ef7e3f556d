//! The hostile corpus: every file says in its header which rules may reject it, or that it must pass.
//!
//! Header: `// expect: accepted` or `// expect: rule [rule…]`, then `// note:` with what it tries.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::validate;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn check(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let expected: Vec<&str> = text
        .lines()
        .find_map(|line| line.split_once("// expect: "))
        .unwrap_or_else(|| panic!("{name} does not say what to expect"))
        .1
        .split_whitespace()
        .collect();
    let verdict = match validate(&text) {
        Ok(_) => "accepted".to_owned(),
        Err(rejection) => rejection.rule,
    };
    assert!(
        expected.contains(&verdict.as_str()),
        "{name}: expected one of {expected:?}, got {verdict}"
    );
}

#[test]
fn hostile_losses_get_the_verdict_that_they_deserve() {
    let files = files();
    assert!(files.len() > 40, "the corpus is there");
    files.iter().for_each(|path| check(path));
}
