//! The compiler's guard: half of its process stays behind, and ends all of it when the host is gone.
//!
//! The kernel tells a process of its parent's death, and nobody else: were rustc told, its linker would run on. So the child
//! splits in two before it becomes the compiler. The compiler leads a process group, which nothing in it can leave; the guard
//! stands outside, is told of the host's death by `SIGTERM` (the host asks in the same way when time is up), kills the group,
//! waits until every process of it is gone, and ends as the compiler did, by its code or its signal. So whoever has waited
//! for the guard knows that nothing is left, and what all of it has had of the processor counts as the guard's.
//!
//! It is confined as the compiler is, and may start no program: it waits, and kills this one group. Not covered: a guard that
//! is killed itself, by its user or for want of memory. rustc dies with it, a linker at work does not.

use std::{io, process};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, getppid,
    kill_process_group, set_child_subreaper, set_parent_process_death_signal, setpgid, waitid,
};

use super::{Kind, MissingLayers, restrict_calls, tolerate};

/// Splits the process, which must have one thread and be a child of `host`. Returns in the half that is to become the
/// compiler; the guard ends here.
pub(super) fn split(host: u32, missing: MissingLayers) -> io::Result<()> {
    let inherited = hold_back()?;
    die_with(host, Signal::TERM)?;
    set_child_subreaper(Some(getpid()))?;
    let guard = process::id();
    // SAFETY: there is one thread, so the child finds every lock and the heap as they are here.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            die_with(guard, Signal::KILL)?;
            setpgid(None, None)?;
            set_mask(&inherited)
        }
        compiler => watch(Pid::from_raw(compiler), missing),
    }
}

/// Asks for `signal` when the parent's *thread* ends: in the host, the one that waits for the compiler.
///
/// # Errors
/// When `parent`, a process number, is no longer the parent: it died before it could be asked.
fn die_with(parent: u32, signal: Signal) -> io::Result<()> {
    set_parent_process_death_signal(Some(signal))?;
    let current = getppid().map_or(0, Pid::as_raw_pid);
    match u32::try_from(current) {
        Ok(current) if current == parent => Ok(()),
        _ => Err(io::Error::other("the host is gone")),
    }
}

fn watch(compiler: Option<Pid>, missing: MissingLayers) -> ! {
    let Some(compiler) = compiler else { process::exit(crate::child::CANNOT) };
    // The compiler does the same: whoever comes first.
    let _ = setpgid(Some(compiler), Some(compiler));
    let confined = tolerate(restrict_calls(Kind::Guard { compiler }), missing);
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while confined.is_ok()
        && matches!(waitid(WaitId::Pid(compiler), look), Ok(None))
        && next_signal() != libc::SIGTERM
    {}
    // Before the compiler is reaped nobody else can have its number. It is no error if nothing is left to kill.
    let _ = kill_process_group(compiler, Signal::KILL);
    let status = reap(compiler);
    match confined {
        Ok(()) => end_as(status),
        Err(_) => process::exit(crate::child::CANNOT),
    }
}

/// Waits for everything that the compiler started, which is the guard's to wait for, and says how the compiler ended.
fn reap(compiler: Pid) -> Option<WaitStatus> {
    let mut status = None;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((process, ended))) if process == compiler => status = Some(ended),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Nobody is left.
            Err(_) => return status,
        }
    }
}

fn end_as(status: Option<WaitStatus>) -> ! {
    if let Some(signal) = status.and_then(WaitStatus::terminating_signal) {
        // SAFETY: no handler of ours is left that could run, and the process is about to end anyway.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
    let code = status.and_then(WaitStatus::exit_status);
    process::exit(code.unwrap_or(crate::child::CANNOT))
}

/// What the guard listens to: the host is gone or asks, or a process has ended.
fn heard() -> libc::sigset_t {
    let mut set = empty();
    // SAFETY: the set is initialised, and the signals exist.
    unsafe {
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
    }
    set
}

fn empty() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the call initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// Signals that the guard listens to wait until it asks for them, so that none comes between. Returns the mask before.
fn hold_back() -> io::Result<libc::sigset_t> {
    let mut before = empty();
    // SAFETY: both sets are initialised and live through the call.
    let status = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &heard(), &raw mut before) };
    match status {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_mask(mask: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: the set is initialised and lives through the call; where the old one would go is null.
    match unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sleeps until one of the signals comes.
fn next_signal() -> libc::c_int {
    let mut signal = 0;
    // SAFETY: the set and the number live through the call.
    unsafe { libc::sigwait(&heard(), &raw mut signal) };
    signal
}
