//! One run of a tool of the toolchain, confined, in a process group of its own, with a wall clock and capped output.
//!
//! What is started is the tool's guard (see [`confine`](crate::confine)), which ends everything when the tool has ended or
//! run out of time, or this process is gone: when it has been waited for, nothing is left. What comes back is read up to a
//! limit; the rest is read and dropped, so that nothing waits for a reader. What an exit status means is for the caller to
//! say.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::Fault;
use crate::child::{self, CONFINED, Program};
use crate::confine::Files;
use crate::limits::COMPILE_OUTPUT_BYTES_MAX;

/// How long a guard has to end its tool, which takes it milliseconds where it has a processor.
const TO_ANSWER: Duration = Duration::from_secs(10);

/// What is run.
pub(super) struct Run<'a> {
    /// A program of the toolchain.
    pub(super) tool: &'a Path,
    pub(super) arguments: Vec<OsString>,
    /// All that its environment holds.
    pub(super) environment: Vec<(&'static str, OsString)>,
    /// All that it can reach; it runs in the writable folder.
    pub(super) files: Files,
    pub(super) wall: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if it was killed at the wall.
    pub(crate) status: Option<ExitStatus>,
    /// If it was killed there for want of a processor.
    pub(crate) starved: Option<Starved>,
    /// The beginning of what it wrote to stdout.
    pub(crate) stdout: String,
    /// The beginning of what it wrote to stderr.
    pub(crate) stderr: String,
}

/// A tool met its wall without having had the processor for half of the time: others were at work. Whatever waits is taken
/// for one of these, for a disk as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Starved {
    /// What it had of the processor, in all its threads and processes.
    pub(crate) had: Duration,
    /// The clock that it met.
    pub(crate) wall: Duration,
}

/// Runs a tool as a confined child.
///
/// # Errors
/// When the child cannot be started or confined, or is not one of ours. Once it is confined, no exit status is a fault:
/// whatever the tool has become by then can only fail its own candidate.
pub(super) fn run(program: &Program, run: Run<'_>) -> Result<Ended, Fault> {
    let fault = |error| Fault::child(&program.path, error);
    let mut child = program
        .tool(run.tool, &run.files)
        .args(run.arguments)
        .envs(run.environment)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fault)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stdout = thread::spawn(move || stdout.map(kept).unwrap_or_default());
    let stderr = thread::spawn(move || stderr.map(kept).unwrap_or_default());
    let (status, starved) = end(&mut child, run.wall).map_err(fault)?;
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    match stdout.strip_prefix(CONFINED) {
        // On a busy machine it may not have come to that.
        None if starved.is_none() => match status.and_then(|status| status.code()) {
            Some(child::CANNOT) => Err(fault(io::Error::other(stderr.trim().to_owned()))),
            _ => Err(Fault::NotAChild(program.path.clone())),
        },
        said => Ok(Ended { status, starved, stdout: said.unwrap_or_default().to_owned(), stderr }),
    }
}

/// The beginning of the output; the rest is read and dropped, so that the tool never waits for a reader.
fn kept(mut output: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = output.by_ref().take(COMPILE_OUTPUT_BYTES_MAX as u64).read_to_end(&mut bytes);
    let _ = io::copy(&mut output, &mut io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the guard, and has it end its tool at the wall: no status then, and whether it was for want of a processor.
///
/// Where there is no guard, or it does not answer, its group is killed before it is reaped: until then nobody else can have
/// its number.
fn end(guard: &mut Child, wall: Duration) -> io::Result<(Option<ExitStatus>, Option<Starved>)> {
    let in_time = has_exited_within(wall, guard)?;
    let number = Pid::from_child(guard);
    if !in_time && cfg!(target_os = "linux") {
        let _ = kill_process(number, Signal::TERM);
        has_exited_within(TO_ANSWER, guard)?;
    }
    // Whoever has ended and not been reaped has it still, and a guard has waited for everybody.
    let had = processor_time(guard.id()).filter(|&had| !in_time && had < wall / 2);
    let starved = had.map(|had| Starved { had, wall });
    // It is no error if nothing is left to kill.
    let _ = kill_process_group(number, Signal::KILL);
    let status = guard.wait()?;
    Ok((in_time.then_some(status), starved))
}

/// What a process has had of the processor, with its threads and the children that it waited for; `None` where nobody tells.
fn processor_time(process: u32) -> Option<Duration> {
    processor_time_in(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Of a line of `/proc/PID/stat`: fields 14 to 17, in hundredths of a second. The second field is a name in brackets, which
/// may have anything in it.
fn processor_time_in(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>());
    let ticks: u64 = ticks.sum::<Result<u64, _>>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}

fn has_exited_within(wall: Duration, guard: &Child) -> io::Result<bool> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let start = Instant::now();
    while start.elapsed() < wall {
        if waitid(WaitId::Pid(Pid::from_child(guard)), look)?.is_some() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

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
        let mut tool = shell("sleep 60 & sleep 60");
        let ended = end(&mut tool, Duration::from_millis(50)).expect("can be waited for");
        // A shell that waits for others takes no time of its own.
        assert_eq!(ended.0, None);
        assert_eq!(ended.1.is_some(), cfg!(target_os = "linux"));
        // Both sleepers held the pipe open: it ends when both have.
        let mut stdout = tool.stdout.take().expect("piped");
        io::copy(&mut stdout, &mut io::sink()).expect("can be read");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_ends_in_time_keeps_its_status() {
        let ended = end(&mut shell("exit 3"), Duration::from_secs(30)).expect("can be waited for");
        assert_eq!(ended.0.and_then(|status| status.code()), Some(3));
        assert_eq!(ended.1, None);
    }

    #[test]
    fn processor_time_is_read_behind_a_name_of_any_kind() {
        let line = "7 (a) 1 (b) R 1 7 7 0 -1 4194304 90 0 0 0 123 45 6 7 20 0 4 0 99 0 0";
        assert_eq!(processor_time_in(line), Some(Duration::from_millis(1_810)));
        for broken in ["", "7 (a", "7 (a) R 1", "7 (a) R 1 7 7 0 -1 0 90 0 0 0 x 45 6 7"] {
            assert_eq!(processor_time_in(broken), None, "{broken}");
        }
    }

    #[test]
    fn output_beyond_the_limit_is_read_and_dropped() {
        let endless = io::repeat(b'x').take(4 * COMPILE_OUTPUT_BYTES_MAX as u64);
        assert_eq!(kept(endless).len(), COMPILE_OUTPUT_BYTES_MAX);
    }
}
