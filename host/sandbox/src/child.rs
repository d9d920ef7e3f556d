//! The host's own program as a child: the compiler's guard, or the process that holds a guest.
//!
//! This is where a child gives up what it does not need, before any untrusted byte is read; what that is stands in
//! [`crate::confine`]. A child that cannot be confined does nothing else: it says why and ends.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};

use crate::confine::{self, Files, MissingLayers};
use crate::guest::runner;

/// First argument of a child that becomes the compiler.
const COMPILE: &str = "__lossbox-compile";
/// First argument of a child that holds a guest.
const GUEST: &str = "__lossbox-guest";
/// Apply the layers that there are.
const ACCEPT_MISSING: &str = "--accept-missing";
/// A file or folder that the compiler may read and execute; the path follows.
const READABLE: &str = "--readable";
/// Ends the guard's own arguments; the compiler and its arguments follow.
const BECOME: &str = "--become";

/// Exit code of a child that could not become what it was asked to: none of rustc's.
pub(crate) const CANNOT: i32 = 97;
/// What a guard writes to stdout when it is confined, before it becomes the compiler.
pub(crate) const CONFINED: &str = "confined\n";

/// The program that a host starts as its children, and what they do where a layer is missing.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) missing: MissingLayers,
}

impl Program {
    /// A child that holds a guest, with an empty environment.
    pub(crate) fn guest(&self) -> Command {
        self.child(GUEST)
    }

    /// A child that becomes `tool`, confined to `files`, in the folder that it may write to, with an empty environment.
    pub(crate) fn tool(&self, tool: &Path, files: &Files) -> Command {
        let mut command = self.child(COMPILE);
        command.arg(std::process::id().to_string());
        command.arg(&files.writable);
        for path in &files.readable {
            command.arg(READABLE).arg(path);
        }
        command.arg(BECOME).arg(tool).current_dir(&files.writable);
        command
    }

    fn child(&self, mode: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.arg(mode).env_clear();
        if self.missing == MissingLayers::Accept {
            command.arg(ACCEPT_MISSING);
        }
        command
    }
}

/// Call this first in `main`, before there are threads. In a child of the sandbox it does the child's work and never
/// returns; elsewhere it does nothing.
pub fn run_if_child() {
    let mut arguments = env::args_os().skip(1).peekable();
    let mode = arguments.next().unwrap_or_default();
    if mode != COMPILE && mode != GUEST {
        return;
    }
    let missing = match arguments.next_if(|argument| argument == ACCEPT_MISSING) {
        Some(_) => MissingLayers::Accept,
        None => MissingLayers::Refuse,
    };
    match mode == COMPILE {
        true => become_compiler(arguments, missing),
        false => hold_guest(missing),
    }
}

fn become_compiler(arguments: impl Iterator<Item = OsString>, missing: MissingLayers) -> ! {
    let confined = asked(arguments).and_then(|asked| {
        close_others()?;
        confine::limit_compiler()?;
        confine::compiler(&asked.files, asked.parent, missing)?;
        io::stdout().write_all(CONFINED.as_bytes())?;
        io::stdout().flush()?;
        Ok(asked)
    });
    let error = match confined {
        Ok(asked) => Command::new(asked.tool).args(asked.arguments).exec(),
        Err(error) => error,
    };
    give_up("become the compiler", &error)
}

/// What [`Program::tool`] asks for.
struct Asked {
    parent: u32,
    files: Files,
    tool: OsString,
    arguments: Vec<OsString>,
}

fn asked(mut arguments: impl Iterator<Item = OsString>) -> io::Result<Asked> {
    let malformed = || io::Error::other("the arguments are not the sandbox's");
    let parent = arguments.next().ok_or_else(malformed)?;
    let parent = parent.to_str().and_then(|number| number.parse().ok());
    let mut files =
        Files { writable: arguments.next().ok_or_else(malformed)?.into(), readable: Vec::new() };
    loop {
        let option = arguments.next().ok_or_else(malformed)?;
        let value = arguments.next().ok_or_else(malformed)?;
        match &*option {
            option if option == OsStr::new(READABLE) => files.readable.push(value.into()),
            option if option == OsStr::new(BECOME) => {
                return Ok(Asked {
                    parent: parent.ok_or_else(malformed)?,
                    files,
                    tool: value,
                    arguments: arguments.collect(),
                });
            }
            _ => return Err(malformed()),
        }
    }
}

/// Descriptors that the host left open by mistake reach neither the compiler nor its guard.
#[cfg(target_os = "linux")]
fn close_others() -> io::Result<()> {
    let (first, last) = (3, libc::c_uint::MAX);
    // SAFETY: no pointers are passed, and this process has opened nothing yet: who owned a descriptor was left at exec.
    let status = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    match status {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // Linux before 5.11, which has no Landlock either.
            error if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
            error => Err(error),
        },
    }
}

#[cfg(not(target_os = "linux"))]
fn close_others() -> io::Result<()> {
    Ok(())
}

fn hold_guest(missing: MissingLayers) -> ! {
    runner::prepare();
    let confined = confine::limit_guest()
        .and_then(|()| confine::guest(missing).map_err(io::Error::other))
        .and_then(|()| end_with_host());
    match confined.and_then(|()| runner::run()) {
        Ok(()) => std::process::exit(0),
        Err(error) => give_up("hold a guest", &error),
    }
}

/// A thread ends this process when the host has closed its end of stdin or died, whatever the guest is doing.
///
/// The parent-death signal would not do: it comes when the thread ends that started the child, and a host may start a
/// guest on one thread and call it from another.
fn end_with_host() -> io::Result<()> {
    thread::Builder::new().stack_size(64 << 10).spawn(|| {
        let stdin = io::stdin();
        loop {
            let mut watched = [PollFd::new(&stdin, PollFlags::empty())];
            let hung_up = match poll(&mut watched, None) {
                Ok(_) => !watched[0].revents().is_empty(),
                Err(error) => error != rustix::io::Errno::INTR,
            };
            if hung_up {
                std::process::exit(0);
            }
        }
    })?;
    Ok(())
}

fn give_up(what: &str, error: &io::Error) -> ! {
    // The parent reads the exit code and shows the line.
    let _ = writeln!(io::stderr(), "cannot {what}: {error}");
    std::process::exit(CANNOT)
}
