//! rustc on one candidate: the arguments, and what its end means.
//!
//! The same arguments for every candidate, whatever a crate's manifest says.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use super::diagnostics::{self, Author};
use super::process::{self, Run};
use super::{Component, Tried, rules, space};
use crate::limits::{
    COMPILE_ADDRESS_SPACE_BYTES, COMPILE_CPU_SECONDS, COMPILE_FILE_BYTES_MAX, COMPONENT_BYTES_MAX,
    MEMORY_BYTES_MAX,
};
use crate::{Failure, Fault, Sandbox};

/// What the linker writes into the candidate's folder.
const OUTPUT: &str = "plugin.wasm";

/// Compiles the crate whose root is the file `root` in `folder`, which holds nothing but this candidate.
pub(super) fn component(
    sandbox: &Sandbox,
    folder: &Path,
    root: &str,
    edition: &str,
    author: Author,
) -> Tried<Component> {
    component_within(sandbox.compile_wall, sandbox, folder, root, edition, author)
}

pub(super) fn component_within(
    wall: Duration,
    sandbox: &Sandbox,
    folder: &Path,
    root: &str,
    edition: &str,
    author: Author,
) -> Tried<Component> {
    let mut files = sandbox.toolchain.files(folder);
    files.readable.push(sandbox.sdk.libraries().to_owned());
    let ended = process::run(
        &sandbox.child,
        Run {
            tool: &sandbox.toolchain.rustc(),
            arguments: arguments(sandbox, root, edition),
            environment: vec![("TMPDIR", folder.into())],
            files,
            wall,
        },
    )?;
    let Some(status) = ended.status else {
        if let Some(starved) = ended.starved {
            return Ok(Err(starved));
        }
        let message = format!("compiling took longer than {} s", wall.as_secs());
        return Err(rules::TIMEOUT.rejection(message).into());
    };
    let outcome = outcome(status, &ended.stderr);
    if outcome != Outcome::Succeeded {
        sandbox.sdk.check()?;
        space::check(folder)?;
    }
    match outcome {
        Outcome::Succeeded => written(&folder.join(OUTPUT)).map(Ok),
        Outcome::Failed => Err(diagnostics::rejection(&ended.stderr, author).into()),
        Outcome::Crashed(how) => Err(crashed(&how)),
    }
}

fn crashed(how: &str) -> Failure {
    rules::CRASH.rejection(format!("the compiler {how}")).into()
}

/// The component, up to one byte beyond what the next gate accepts. The compiler said that it wrote it; what is there is
/// for us to look at.
fn written(path: &Path) -> Result<Component, Failure> {
    let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
    if !is_file {
        return Err(crashed("wrote no component"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(Fault::file("read", path))?;
    Ok(Component { bytes })
}

fn arguments(sandbox: &Sandbox, root: &str, edition: &str) -> Vec<OsString> {
    let fixed = [
        "--crate-type=cdylib",
        "--crate-name=plugin",
        "--target=wasm32-wasip2",
        "-Copt-level=3",
        "-Cpanic=abort",
        "-Clto=fat",
        "-Ccodegen-units=1",
        "-Cstrip=symbols",
        "-Awarnings",
        "--error-format=json",
        "-o",
        OUTPUT,
    ];
    let mut arguments: Vec<OsString> = fixed.iter().map(OsString::from).collect();
    arguments.push(root.into());
    arguments.push(format!("--edition={edition}").into());
    arguments.push(format!("-Clink-arg=--max-memory={MEMORY_BYTES_MAX}").into());
    arguments.extend(sandbox.sdk.arguments());
    arguments.push("--sysroot".into());
    arguments.push(sandbox.toolchain.sysroot().into());
    arguments
}

/// How a run of the compiler ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Succeeded,
    /// It found errors.
    Failed,
    /// It panicked, a signal ended it, or it said something that rustc does not; how, in words.
    Crashed(String),
}

fn outcome(status: ExitStatus, stderr: &str) -> Outcome {
    // rustc says the one, LLVM the other; either may end itself by a signal or with a code of its own.
    let out_of_memory = ["memory allocation of", "out of memory"];
    if !status.success() && out_of_memory.iter().any(|words| says(stderr, words)) {
        let bound = COMPILE_ADDRESS_SPACE_BYTES >> 20;
        return Outcome::Crashed(format!("ran out of memory, of which it may take {bound} MiB"));
    }
    if let Some(signal) = status.signal() {
        return Outcome::Crashed(match signal {
            signal if signal == Signal::XCPU.as_raw() => {
                format!("took more than {COMPILE_CPU_SECONDS} s of processor time")
            }
            signal if signal == Signal::XFSZ.as_raw() => {
                let bound = COMPILE_FILE_BYTES_MAX >> 20;
                format!("wrote a file of more than {bound} MiB")
            }
            _ => format!("was ended by signal {signal}"),
        });
    }
    match status.code() {
        Some(0) => Outcome::Succeeded,
        // An error that rustc does not report as one, as when its linker is killed.
        Some(1) if !stderr.contains("\"level\":\"error") => {
            Outcome::Crashed("gave up without an error".to_owned())
        }
        Some(1) => Outcome::Failed,
        Some(101) => Outcome::Crashed("panicked".to_owned()),
        code => Outcome::Crashed(format!("ended with the code {}", code.unwrap_or_default())),
    }
}

/// In words of its own: what it reports as an error can quote the candidate, and is a line of JSON.
fn says(stderr: &str, words: &str) -> bool {
    let mut own = stderr.lines().filter(|line| !line.starts_with('{'));
    own.any(|line| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGABRT: i32 = Signal::ABORT.as_raw();
    const SIGSEGV: i32 = Signal::SEGV.as_raw();
    const SIGXCPU: i32 = Signal::XCPU.as_raw();
    const SIGXFSZ: i32 = Signal::XFSZ.as_raw();

    fn after(wait_status: i32, stderr: &str) -> Outcome {
        outcome(ExitStatus::from_raw(wait_status), stderr)
    }

    #[test]
    fn only_errors_that_rustc_reports_are_errors_and_the_rest_are_crashes() {
        assert_eq!(after(0, ""), Outcome::Succeeded);
        assert_eq!(after(1 << 8, r#"{"level":"error"}"#), Outcome::Failed);
        for (wait_status, stderr) in [(1 << 8, ""), (101 << 8, ""), (11, ""), (2 << 8, "usage")] {
            assert!(matches!(after(wait_status, stderr), Outcome::Crashed(_)));
        }
    }

    /// By which limit it was ended is said, whichever way it ended; a candidate's words are not the compiler's.
    #[test]
    fn the_limit_that_a_compiler_met_is_named() {
        let said = |wait_status, stderr| match after(wait_status, stderr) {
            Outcome::Crashed(how) => how,
            other => panic!("expected a crash, got {other:?}"),
        };
        let failed = "memory allocation of 1073741824 bytes failed\n";
        assert_eq!(said(SIGABRT, failed), "ran out of memory, of which it may take 2048 MiB");
        assert_eq!(said(101 << 8, failed), said(SIGABRT, failed));
        assert_eq!(said(1 << 8, "rustc-LLVM ERROR: out of memory\n"), said(SIGABRT, failed));
        assert_eq!(said(SIGXCPU, ""), "took more than 30 s of processor time");
        assert_eq!(said(SIGXFSZ, ""), "wrote a file of more than 64 MiB");
        let quoted = r#"{"level":"error","message":"memory allocation of 1 bytes failed"}"#;
        assert_eq!(after(1 << 8, quoted), Outcome::Failed);
        assert_eq!(said(SIGSEGV, quoted), "was ended by signal 11");
    }

    #[test]
    fn what_is_no_file_or_too_large_is_not_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(OUTPUT);
        let is_crash = |path: &Path| match written(path) {
            Err(Failure::Rejected(rejection)) => rejection.rule == rules::CRASH.name,
            _ => false,
        };
        assert!(is_crash(&path), "missing");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
        assert!(is_crash(&path), "a link");
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, vec![0; 2 * COMPONENT_BYTES_MAX]).expect("written");
        let component = written(&path).expect("read");
        assert_eq!(component.into_bytes().len(), COMPONENT_BYTES_MAX + 1);
    }
}
