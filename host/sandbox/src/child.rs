//! The host's own program as a child: the compiler's guard, or the process that holds a guest.
//!
//! This is where a child gives up what it does not need, before any untrusted byte is read. Here these are
//! resource limits and, for the compiler, dying with its parent; a guest ends with the pipe it reads from.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::guest::runner;
use crate::limits::{
    CHILD_FILES_MAX, COMPILE_ADDRESS_SPACE_BYTES, COMPILE_CPU_SECONDS, COMPILE_FILE_BYTES_MAX,
    GUEST_ADDRESS_SPACE_BYTES,
};

/// First argument of a child that becomes the compiler.
pub(crate) const COMPILE: &str = "__lossbox-compile";
/// First argument of a child that holds a guest.
pub(crate) const GUEST: &str = "__lossbox-guest";
/// Exit code of a child that could not become what it was asked to: none of rustc's.
pub(crate) const CANNOT: i32 = 97;

/// Call this first in `main`. In a child of the sandbox it does the child's work and never returns; elsewhere it does
/// nothing.
pub fn run_if_child() {
    let mut arguments = env::args_os().skip(1);
    match arguments
        .next()
        .as_deref()
        .and_then(|argument| argument.to_str())
    {
        Some(COMPILE) => become_compiler(arguments),
        Some(GUEST) => hold_guest(),
        _ => {}
    }
}

/// `program arguments…`: this process becomes the compiler.
fn become_compiler(mut arguments: impl Iterator<Item = OsString>) -> ! {
    let limited = limit(&[
        (Resource::As, COMPILE_ADDRESS_SPACE_BYTES),
        (Resource::Cpu, COMPILE_CPU_SECONDS),
        (Resource::Fsize, COMPILE_FILE_BYTES_MAX),
        (Resource::Nofile, CHILD_FILES_MAX),
        (Resource::Core, 0),
    ])
    .and_then(|()| die_with_parent());
    let error = match limited {
        Ok(()) => {
            let program = arguments.next().unwrap_or_default();
            Command::new(program).args(arguments).exec()
        }
        Err(error) => error,
    };
    give_up("become the compiler", &error)
}

fn hold_guest() -> ! {
    let limited = limit(&[
        (Resource::As, GUEST_ADDRESS_SPACE_BYTES),
        (Resource::Fsize, 0),
        (Resource::Nofile, CHILD_FILES_MAX),
        (Resource::Core, 0),
    ]);
    match limited.and_then(|()| runner::run()) {
        Ok(()) => std::process::exit(0),
        Err(error) => give_up("hold a guest", &error),
    }
}

fn limit(limits: &[(Resource, u64)]) -> io::Result<()> {
    for &(resource, limit) in limits {
        let both = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        setrlimit(resource, both)?;
    }
    Ok(())
}

/// The signal comes when the parent's *thread* ends: the one that waits for the compiler.
#[cfg(target_os = "linux")]
fn die_with_parent() -> io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() -> io::Result<()> {
    Ok(())
}

fn give_up(what: &str, error: &io::Error) -> ! {
    // The parent reads the exit code; the line is for whoever debugs.
    let _ = writeln!(io::stderr(), "cannot {what}: {error}");
    std::process::exit(CANNOT)
}
