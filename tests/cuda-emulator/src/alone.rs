//! A process per test: reports, errors and failures that were asked for belong to the process that has the emulator, and tests
//! in processes of their own run side by side.

use std::io::Write as _;
use std::process::Command;

/// Holds the test's name in the process of its own.
const MARK: &str = "CUDA_EMULATOR_ALONE";

/// Whether this process is the calling test's own. If not, the test is run in one, and this returns when that has ended. A
/// test begins with it:
///
/// ```no_run
/// if !cuda_emulator::is_alone() {
///     return;
/// }
/// // … cudarc, and nobody else who reports …
/// ```
///
/// The harness names the thread of each test, except with `--test-threads 1`: then nothing else runs, and this is true.
///
/// # Panics
///
/// If the test fails in its process, with what it printed there.
pub fn is_alone() -> bool {
    let thread = std::thread::current();
    let Some(test) = thread.name().filter(|name| *name != "main") else {
        return true;
    };
    if std::env::var_os(MARK).is_some_and(|own| own == test) {
        return true;
    }
    let exe = std::env::current_exe().expect("the test's file has a path");
    let output = Command::new(exe)
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .env(MARK, test)
        .output()
        .expect("the test starts in a process of its own");
    // Past the harness's capture, as it would be without a process between.
    let _ = std::io::stderr().write_all(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    // Where no test has this name none runs, and nothing fails.
    let has_passed = output.status.success() && printed.contains(" 1 passed;");
    assert!(has_passed, "{}\n{printed}", output.status);
    false
}
