//! Resource limits: what the kernel has always had.
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
        let both = Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(resource, both)?;
    }
    Ok(())
}
