//! One run of the compiler in a process group of its own, with a wall clock and capped output.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::limits::COMPILE_OUTPUT_BYTES_MAX;
use crate::{Fault, child};

/// How a run of the compiler ended, and the beginning of what it wrote to stderr.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) stderr: String,
}

/// How a run of the compiler ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    /// It found errors.
    Failed,
    /// It panicked, or a signal ended it; how, in words.
    Crashed(String),
    TimedOut,
}

/// Runs `program` in `folder` through the child guard, with an environment that holds nothing but TMPDIR.
pub(super) fn run(
    guard: &Path,
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    wall: Duration,
) -> Result<Ended, Fault> {
    let mut compiler = Command::new(guard)
        .arg(child::COMPILE)
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("TMPDIR", folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Fault::child(guard, error))?;
    let stderr = compiler.stderr.take();
    let reader = thread::spawn(move || stderr.map(kept).unwrap_or_default());
    let status = end(&mut compiler, wall).map_err(|error| Fault::child(guard, error))?;
    let stderr = reader.join().unwrap_or_default();
    let outcome = match status {
        None => Outcome::TimedOut,
        Some(status) => match outcome(status, &stderr) {
            Some(outcome) => outcome,
            None if status.code() == Some(child::CANNOT) => {
                return Err(Fault::child(guard, io::Error::other(stderr)));
            }
            None => return Err(Fault::NotAChild(guard.to_owned())),
        },
    };
    Ok(Ended { outcome, stderr })
}

/// The beginning of the output; the rest is read and dropped, so that the compiler never waits for a reader.
fn kept(mut stderr: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stderr
        .by_ref()
        .take(COMPILE_OUTPUT_BYTES_MAX as u64)
        .read_to_end(&mut bytes);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the compiler, then ends its group; `None` if it ran out of time.
///
/// The group is killed before the compiler is reaped: until then nobody else can have its number.
fn end(compiler: &mut Child, wall: Duration) -> io::Result<Option<ExitStatus>> {
    let in_time = has_exited_within(wall, compiler)?;
    if let Some(group) = i32::try_from(compiler.id()).ok().and_then(Pid::from_raw) {
        // It is no error if nothing is left to kill.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = compiler.wait()?;
    Ok(in_time.then_some(status))
}

fn has_exited_within(wall: Duration, compiler: &Child) -> io::Result<bool> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let start = Instant::now();
    while start.elapsed() < wall {
        if waitid(WaitId::Pid(Pid::from_child(compiler)), look)?.is_some() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(false)
}

/// What the exit status means, or `None` if it is not one of rustc's.
fn outcome(status: ExitStatus, stderr: &str) -> Option<Outcome> {
    if let Some(signal) = status.signal() {
        return Some(Outcome::Crashed(format!("was ended by signal {signal}")));
    }
    match status.code()? {
        0 => Some(Outcome::Succeeded),
        // An error that rustc does not report as one, as when its linker is killed.
        1 if !stderr.contains("\"level\":\"error") => {
            Some(Outcome::Crashed("gave up without an error".to_owned()))
        }
        1 => Some(Outcome::Failed),
        101 => Some(Outcome::Crashed("panicked".to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        Command::new("sh")
            .args(["-c", script])
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell")
    }

    #[test]
    fn at_the_wall_the_whole_group_ends() {
        let start = Instant::now();
        let mut compiler = shell("sleep 60 & sleep 60");
        let status = end(&mut compiler, Duration::from_millis(50)).expect("can be waited for");
        assert_eq!(status, None);
        // Both sleepers held the pipe open: it ends when both have.
        let mut stdout = compiler.stdout.take().expect("piped");
        io::copy(&mut stdout, &mut io::sink()).expect("can be read");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_ends_in_time_keeps_its_status() {
        let status = end(&mut shell("exit 3"), Duration::from_secs(30)).expect("can be waited for");
        assert_eq!(status.and_then(|status| status.code()), Some(3));
    }

    fn after(wait_status: i32, stderr: &str) -> Option<Outcome> {
        outcome(ExitStatus::from_raw(wait_status), stderr)
    }

    #[test]
    fn a_crash_is_the_candidates_fault_and_a_program_that_is_no_child_is_ours() {
        assert_eq!(after(0, ""), Some(Outcome::Succeeded));
        assert_eq!(after(1 << 8, r#"{"level":"error"}"#), Some(Outcome::Failed));
        assert!(matches!(after(1 << 8, ""), Some(Outcome::Crashed(_))));
        assert!(matches!(after(101 << 8, ""), Some(Outcome::Crashed(_))));
        assert!(matches!(after(11, ""), Some(Outcome::Crashed(_))));
        assert_eq!(after(2 << 8, "unknown option"), None);
    }
}
