//! The hostile components: every file says in its header which rules may reject it, or that it must pass.
//!
//! Header: `;; expect: accepted`, `;; expect: rule [rule…]` or several of these, then `;; note:` with what it tries.
//! A file is a component, or says in which slots it differs from the honest one in `wrapper.txt`: `;; slot NAME` and
//! what stands there instead, or `;; replace THIS => THAT`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use sandbox::{Rejection, Stage};

use crate::support::{sandbox, verdict};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile-components")
}

fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    files.sort();
    files
}

/// The component that a file of the corpus describes, as text.
fn whole(text: &str) -> String {
    let body = text.lines().find(|line| !line.starts_with(";;"));
    if body.is_some_and(|line| line.starts_with("(component")) && !text.contains(";; slot") {
        return text.to_owned();
    }
    let slots = slots(text);
    let mut wrapper = fs::read_to_string(folder().join("wrapper.txt")).unwrap();
    for line in text.lines() {
        if let Some((this, that)) =
            line.strip_prefix(";; replace ").and_then(|replace| replace.split_once(" => "))
        {
            assert!(wrapper.contains(this), "{this} is not in the wrapper");
            wrapper = wrapper.replace(this, that);
        }
    }
    let (mut whole, mut replaced) = (String::new(), false);
    let mut n_used = 0;
    for line in wrapper.lines() {
        if let Some(name) = line.strip_prefix(";; slot ") {
            if let Some(slot) = slots.get(name) {
                whole.push_str(slot);
                n_used += 1;
                replaced = true;
            }
        } else if line == ";; end" {
            replaced = false;
        } else if !replaced {
            whole.push_str(line);
            whole.push('\n');
        }
    }
    assert_eq!(n_used, slots.len(), "a slot that the wrapper does not have");
    whole
}

fn slots(text: &str) -> HashMap<&str, String> {
    let mut slots = HashMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(";; slot ") {
            current = Some(name);
            slots.insert(name, String::new());
        } else if let Some(slot) = current.and_then(|name| slots.get_mut(name)) {
            slot.push_str(line);
            slot.push('\n');
        }
    }
    slots
}

/// Loads bytes as a file that somebody dropped.
fn load(bytes: &[u8]) -> Result<(), Rejection> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped.wasm");
    fs::write(&path, bytes).unwrap();
    verdict(sandbox().load(&path)).map(drop)
}

/// What went otherwise than the file's header says.
fn surprise(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let expected: Vec<&str> = text
        .lines()
        .find_map(|line| line.strip_prefix(";; expect: "))
        .unwrap_or_else(|| panic!("{name} does not say what to expect"))
        .split_whitespace()
        .collect();
    let bytes = match wat::parse_str(whole(&text)) {
        Ok(bytes) => bytes,
        Err(error) => return Some(format!("{name}: {error}")),
    };
    let (rule, message) = match load(&bytes) {
        Ok(()) => ("accepted".to_owned(), String::new()),
        Err(rejection) => (rejection.rule, rejection.message),
    };
    let is_printable = !message.chars().any(char::is_control);
    (!expected.contains(&rule.as_str()) || !is_printable)
        .then(|| format!("{name}: expected one of {expected:?}, got {rule}: {message:?}"))
}

#[test]
fn hostile_components_get_the_verdict_that_they_deserve() {
    let files = files();
    assert!(files.len() > 120, "the corpus is there");
    let surprises: Vec<String> = files.iter().filter_map(|path| surprise(path)).collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

/// The modules inside, without the component around them.
#[test]
fn bare_modules_are_rejected() {
    for path in files() {
        let text = whole(&fs::read_to_string(&path).unwrap());
        let Some((_, rest)) = text.split_once("(core module $loss") else {
            continue;
        };
        let (module, _) = rest.split_once("(core instance").unwrap();
        let Ok(bytes) = wat::parse_str(format!("(module {module}")) else {
            panic!("{} has no module of its own", path.display());
        };
        let rejection = load(&bytes).expect_err("a module is no component");
        assert_eq!(
            (rejection.stage, rejection.rule.as_str()),
            (Stage::Component, "component/valid")
        );
    }
}

#[test]
fn names_in_the_report_can_be_printed() {
    let text = whole("").replacen(
        "(component",
        r#"(component (@custom "\1b[2J order for a reader" "x")"#,
        1,
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped.wasm");
    fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    let plugin = verdict(sandbox().load(&path)).unwrap();
    let report = plugin.component_report();
    assert_eq!(
        report.custom_sections.first().map(String::as_str),
        Some("\\u{1b}[2J order for a reader")
    );
    assert!(!report.needs_wasi && report.imports.is_empty());
    assert!(report.limits.iter().all(|measure| measure.count <= measure.limit));
}
