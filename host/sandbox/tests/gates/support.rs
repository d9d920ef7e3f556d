//! One sandbox for all tests, and short ways to put something through its gates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sandbox::{CachePolicy, Failure, Options, ProbedPlugin, Rejection, Sandbox, Source};

/// Where the SDK is built once for all runs of the tests.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox-cache")
}

/// The program that the sandbox re-executes.
pub(crate) fn child() -> &'static str {
    env!("CARGO_BIN_EXE_lossbox-sandbox-child")
}

pub(crate) fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let mut options = Options::new(cache(), env!("CARGO_BIN_EXE_lossbox-sandbox-child"));
        // What is tested is the gates, not what they said in an earlier run.
        options.cache = CachePolicy::Off;
        Sandbox::open(options).unwrap()
    })
}

/// The candidate's fault apart from ours, which fails the test.
pub(crate) fn verdict<T>(outcome: Result<T, Failure>) -> Result<T, Rejection> {
    outcome.map_err(|failure| match failure {
        Failure::Rejected(rejection) => *rejection,
        Failure::Fault(fault) => panic!("{fault}"),
    })
}

pub(crate) fn validate(text: &str) -> Result<ProbedPlugin, Rejection> {
    verdict(sandbox().validate(&Source::one_file("candidate", text)))
}

/// A pair loss with this body.
pub(crate) fn pair_loss(body: &str) -> String {
    format!(
        r#"use guest_sdk::prelude::*;

pair_loss! {{
    name: "candidate",
    summary: "a candidate",
    hyperparameters: {{ beta: 0.1 in 0.001..=10.0 }},
}}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {{
    {body}
}}
"#
    )
}

/// The line of `pair_loss` where the body begins.
pub(crate) const BODY_LINE: usize = 10;

/// A component that no gate has seen: this crate root, compiled against the SDK as an author elsewhere would.
pub(crate) fn component(folder: &Path, root: &str) -> PathBuf {
    sandbox();
    let libraries = fs::read_dir(cache().join("sdk"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("libguest_sdk.rlib").is_file())
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .unwrap();
    let (source, output) = (folder.join("lib.rs"), folder.join("plugin.wasm"));
    fs::write(&source, root).unwrap();
    let compiled = Command::new("rustc")
        .args([
            "--edition=2024",
            "--crate-type=cdylib",
            "--crate-name=plugin",
            "--target=wasm32-wasip2",
        ])
        .args([
            "-Copt-level=3",
            "-Cpanic=abort",
            "-Clto=fat",
            "-Ccodegen-units=1",
            "-Cstrip=symbols",
            "-Awarnings",
        ])
        .arg("-Clink-arg=--max-memory=67108864")
        .arg("--extern")
        .arg(format!(
            "guest_sdk={}",
            libraries.join("libguest_sdk.rlib").display()
        ))
        .arg("-L")
        .arg(format!("dependency={}", libraries.display()))
        .arg("-o")
        .args([&output, &source])
        .output()
        .unwrap();
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    output
}
