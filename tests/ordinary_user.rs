//! All gates as a user with no rights: root runs the program as `nobody`, with a home and a cache of its own.
//!
//! Who runs the tests as an ordinary user sees the same in every other test.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot run has failed")]

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const NOBODY: u32 = 65_534;

const GOOD: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "good",
    summary: "negative log-sigmoid of the scaled margin",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
"#;

/// The program where `nobody` can run it, and a folder of theirs.
struct Nobody {
    folder: TempDir,
    toolchain: PathBuf,
}

impl Nobody {
    fn run(&self, arguments: &[&str]) -> Output {
        let home = self.folder.path().join("home");
        Command::new(self.folder.path().join("lossbox"))
            .args(arguments)
            .env_clear()
            .env("PATH", self.toolchain.join("bin"))
            .env("HOME", &home)
            .env("TMPDIR", self.folder.path().join("tmp"))
            .current_dir(&home)
            .uid(NOBODY)
            .gid(NOBODY)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn write(&self, name: &str, text: &[u8]) {
        let path = self.folder.path().join("home/plugins").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// `None`, and a line that says so, where there is nobody to become or no compiler that they can reach.
fn nobody() -> Option<Nobody> {
    let skip = |why: &str| {
        let _ =
            writeln!(io::stderr(), "SKIPPED an_ordinary_user_passes_all_gates_as_root_does: {why}");
        None
    };
    let folder = tempfile::tempdir().unwrap();
    if folder.path().metadata().unwrap().uid() != 0 {
        return skip("not started as root, so every other test has shown it already");
    }
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output();
    let toolchain = PathBuf::from(String::from_utf8(rustc.unwrap().stdout).unwrap().trim());
    let toolchain = toolchain.canonicalize().unwrap();
    if let Some(closed) = toolchain.ancestors().find(|path| !is_open(path)) {
        return skip(&format!(
            "the toolchain lies in {}, which others cannot enter (install one elsewhere, as with RUSTUP_HOME=/opt/rustup, \
             and put its bin first in PATH)",
            closed.display()
        ));
    }
    let program = folder.path().join("lossbox");
    fs::copy(env!("CARGO_BIN_EXE_lossbox-under-test"), &program).unwrap();
    for path in [folder.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["home", "tmp"] {
        let theirs = folder.path().join(name);
        fs::create_dir(&theirs).unwrap();
        chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    Some(Nobody { folder, toolchain })
}

/// Whether everybody may read what is in this folder.
fn is_open(path: &Path) -> bool {
    path.metadata().unwrap().mode() & 0o005 == 0o005
}

fn said(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    format!("{stdout}{}", String::from_utf8_lossy(&output.stderr))
}

#[test]
fn an_ordinary_user_passes_all_gates_as_root_does() {
    let Some(nobody) = nobody() else { return };
    let body = "-(hp.beta * pair.logratio_margin()).log_sigmoid()";
    let with = |name: &str, text: &str| {
        let renamed = GOOD.replace("\"good\"", &format!("{name:?}"));
        nobody.write(&format!("{name}.rs"), renamed.replace(body, text).as_bytes());
    };
    nobody.write("good.rs", GOOD.as_bytes());
    with("thief", "{ const X: &str = include_str!(\"/etc/passwd\"); pair.logratio_margin() }");
    with("unknown", "-pair.no_such_thing()");
    with(
        "endless",
        "{ let mut x = pair.logratio_margin(); while x < 1e9 || x >= 1e9 { x = x * 1.5; } x }",
    );
    with("trap", "[pair.logratio_margin(); 2][pair.chosen_tokens as usize]");
    with(
        "spoof",
        "{ let x = pair.logratio_margin(); if x > 0.5 { x * 0.0 + 1.0 } else { x * 0.0 / 0.0 } }",
    );
    nobody.write("junk.wasm", b"junk");
    nobody.write(
        "good_crate/Cargo.toml",
        br#"[package]
name = "good_crate"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
guest-sdk = "0.1"
"#,
    );
    nobody.write(
        "good_crate/src/lib.rs",
        b"#![no_std]\nmod loss;\nguest_sdk::export!(loss::Loss);\n",
    );
    nobody.write("good_crate/src/loss.rs", GOOD.as_bytes());

    let output = nobody.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    let output = nobody.run(&["plugins", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rule = |name: &str| {
        let rows = listed["plugins"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        let rule = row["rule"].as_str().map(str::to_owned);
        rule.unwrap_or_else(|| row["verdict"].as_str().unwrap().to_owned())
    };
    for (name, expected) in [
        ("good", "accepted"),
        ("good_crate", "accepted"),
        ("dpo", "accepted"),
        ("thief", "source/no-include"),
        ("unknown", "compile/rustc"),
        ("endless", "run/fuel"),
        ("trap", "run/trap"),
        ("spoof", "probe/finite"),
        ("junk", "component/valid"),
    ] {
        assert_eq!(rule(name), expected, "{name}: {listed}");
    }
    let left = fs::read_dir(nobody.folder.path().join("tmp")).unwrap();
    assert_eq!(left.count(), 0, "a candidate's folder was left");
}
