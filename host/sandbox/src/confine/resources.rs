//! Resource limits and death with the parent: what the kernel has always had.
//!
//! Both the current and the greatest value are set, so that a child cannot raise them; root could, if the system-call
//! layer did not deny it. Address space is per process, so the linker has as much again.
//!
//! Not covered: the number of processes. The kernel counts all of a user's, and does not count root's.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::limits::{
    CHILD_FILES_MAX, COMPILE_ADDRESS_SPACE_BYTES, COMPILE_CPU_SECONDS, COMPILE_FILE_BYTES_MAX,
    GUEST_ADDRESS_SPACE_BYTES,
};

/// Limits of the compiler and of every process that it starts.
pub(crate) fn limit_compiler() -> io::Result<()> {
    limit(&[
        (Resource::As, COMPILE_ADDRESS_SPACE_BYTES),
        (Resource::Cpu, COMPILE_CPU_SECONDS),
        (Resource::Fsize, COMPILE_FILE_BYTES_MAX),
        (Resource::Nofile, CHILD_FILES_MAX),
        (Resource::Core, 0),
    ])
}

/// Limits of the process that holds a guest. Its time is bounded by fuel and by the host's clock, call by call.
pub(crate) fn limit_guest() -> io::Result<()> {
    limit(&[
        (Resource::As, GUEST_ADDRESS_SPACE_BYTES),
        (Resource::Fsize, 0),
        (Resource::Nofile, CHILD_FILES_MAX),
        (Resource::Core, 0),
    ])
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

/// Asks for `SIGKILL` when the parent's *thread* ends: the one that waits for the compiler.
///
/// # Errors
/// When `parent`, a process number, is no longer the parent: it died before it could be asked.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_parent(parent: u32) -> io::Result<()> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let current = getppid().map_or(0, Pid::as_raw_pid);
    match u32::try_from(current) {
        Ok(current) if current == parent => Ok(()),
        _ => Err(io::Error::other("the host is gone")),
    }
}

/// There is no such signal here: the layer is missing.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent(_parent: u32) -> io::Result<()> {
    Ok(())
}
