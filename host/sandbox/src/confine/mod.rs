//! What a child of the sandbox gives up, for good, before it meets an untrusted byte.
//!
//! A child confines *itself*: the host starts its own program again, the child applies the layers below to its own
//! process and then becomes the compiler, or reads a component. Nothing is undone by `exec`, nothing can be taken back,
//! and every process that it starts inherits all of it. It works the same as root and as an ordinary user, and needs
//! no help of either: no namespaces, no set-user-id program, no daemon.
//!
//! | layer | what it bounds | at the limit |
//! | --- | --- | --- |
//! | [`Layer::Limits`] | address space, processor time, size of a file, open files, core dumps; values in [`limits`] | the call fails, or a signal ends the process |
//! | [`Layer::ParentDeath`] | the life of the compiler and of all that it started, by the host's; see below | `SIGKILL` |
//! | [`Layer::Files`] (Landlock) | which files and folders can be opened, made, removed or executed | `EACCES` |
//! | [`Layer::SystemCalls`] (seccomp) | which system calls there are, and with which arguments | `EPERM`; `ENOSYS` for `clone3`; death for calls of another architecture |
//!
//! Two kinds of child differ in what they keep:
//!
//! - **The compiler** (and cargo, which reads a crate's manifest) reads and executes the toolchain, the built SDK and the
//!   system's libraries, reads the loader's cache, and reads and writes its candidate's own folder, where it can make
//!   files and folders but no links, devices, sockets or programs. It may start threads and processes, since rustc
//!   starts a linker; these cannot leave the process group, so killing the group ends all of them. That is the work of a
//!   guard, the half of the child that stays behind when the other becomes the compiler: when the host is gone or time is
//!   up it kills the group, and when the compiler has ended what is left of it, and outlives every process of it. It has
//!   the compiler's files, may start nothing, and can signal this one group.
//! - **The guest's process** has no file at all, not even to read, no `exec` and no new processes. What is left is memory,
//!   threads and the two pipes: it reads descriptor 0 and writes descriptors 1 and 2, and no other descriptor, whatever it
//!   inherited. Before it is confined it opens `/proc/self/pagemap`, which it cannot read, to ask the kernel with
//!   `PAGEMAP_SCAN` which pages of its own memory were written.
//!
//! The layers overlap on purpose. Network, signals to other processes, `ptrace`, namespaces, mounts, `bpf`, `io_uring`
//! and memory files are denied by seccomp alone on any kernel, and sockets and signals once more by Landlock where the
//! kernel's Landlock knows them.
//!
//! # What is not covered
//!
//! - `stat`, `access`, `readlink` and `chdir` on any path: a confined compiler can learn that a file exists, how large it
//!   is and when it changed, but not what is in it.
//! - Time and load: confined code sees clocks and can measure how busy the machine is.
//! - Disk space in total: the size of each file is limited, their number only by the wall clock; the folder is removed
//!   with the candidate.
//! - Processes in total: `RLIMIT_NPROC` counts all processes of a user and does not bind root, so a compiler that was
//!   taken over can fork until the wall clock kills its group.
//! - Bugs of the kernel in what is still allowed.
//! - A guard that is killed itself, by its user or for want of memory: the compiler dies with it, a linker that it started
//!   runs on until it is done or has had its processor time.
//! - A guest's process does not die with its host by signal but by its pipe: its own watching thread ends it, which code
//!   that escaped from WebAssembly could stop. It could then still do nothing but compute.
//!
//! A platform that lacks a layer is refused by [`Sandbox::open`](crate::Sandbox::open) with the layer's name, unless the
//! embedder accepts the risk with [`MissingLayers::Accept`]. Off Linux only [`Layer::Limits`] is there, and not whole.
//!
//! [`limits`]: crate::limits

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod guard;
mod layers;
mod resources;

#[cfg(all(test, target_os = "linux"))]
pub(crate) mod tests;

use std::io;
use std::path::PathBuf;

pub use layers::{Layer, LayerStatus, layers};
pub(crate) use resources::{limit_compiler, limit_guest};

/// What to do where the platform lacks a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingLayers {
    /// Do not run untrusted code there.
    #[default]
    Refuse,
    /// Apply the layers that there are. A candidate can then do what the missing layer would have stopped.
    Accept,
}

impl MissingLayers {
    /// The choice as a word: verdicts found under one are not those found under the other.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            MissingLayers::Refuse => "refuse missing layers",
            MissingLayers::Accept => "accept missing layers",
        }
    }
}

/// What a compiler may read and execute, and where it may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    /// Files and folders beside the system's libraries; must exist.
    pub(crate) readable: Vec<PathBuf>,
    /// The candidate's own folder.
    pub(crate) writable: PathBuf,
}

/// A layer that could not be applied, and why.
#[derive(Debug, thiserror::Error)]
#[error("{layer} cannot be confined here: {reason}")]
pub(crate) struct Unconfined {
    pub(crate) layer: Layer,
    pub(crate) reason: String,
}

/// Confines the calling thread, and all that it starts, to what a compiler needs. It returns in a child of the calling
/// process, which is the guard from now on, itself a child of `host` and without other threads.
pub(crate) fn compiler(files: &Files, host: u32, missing: MissingLayers) -> io::Result<()> {
    tolerate(restrict_files(Some(files)), missing).map_err(io::Error::other)?;
    split(host, missing)?;
    tolerate(restrict_calls(Kind::Compiler), missing).map_err(io::Error::other)
}

/// Confines the calling thread, and all that it starts, to memory, threads and the pipes that it has.
pub(crate) fn guest(missing: MissingLayers) -> Result<(), Unconfined> {
    tolerate(restrict_files(None), missing)?;
    tolerate(restrict_calls(Kind::Guest), missing)
}

/// Whose system calls are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Compiler,
    /// The compiler's guard, which may kill the group that `compiler` leads.
    #[cfg(target_os = "linux")]
    Guard {
        compiler: rustix::process::Pid,
    },
    Guest,
}

fn tolerate(applied: Result<(), Unconfined>, missing: MissingLayers) -> Result<(), Unconfined> {
    match missing {
        MissingLayers::Refuse => applied,
        MissingLayers::Accept => Ok(()),
    }
}

/// Without `files`, none at all.
#[cfg(target_os = "linux")]
fn restrict_files(files: Option<&Files>) -> Result<(), Unconfined> {
    files::restrict(files).map_err(|reason| Unconfined { layer: Layer::Files, reason })
}

#[cfg(target_os = "linux")]
fn split(host: u32, missing: MissingLayers) -> io::Result<()> {
    guard::split(host, missing)
}

/// There is no signal of a parent's death here: the layer is missing.
#[cfg(not(target_os = "linux"))]
fn split(_host: u32, _missing: MissingLayers) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn restrict_calls(kind: Kind) -> Result<(), Unconfined> {
    calls::restrict(kind).map_err(|reason| Unconfined { layer: Layer::SystemCalls, reason })
}

#[cfg(not(target_os = "linux"))]
fn restrict_files(_files: Option<&Files>) -> Result<(), Unconfined> {
    Err(Unconfined { layer: Layer::Files, reason: layers::NOT_LINUX.to_owned() })
}

#[cfg(not(target_os = "linux"))]
fn restrict_calls(_kind: Kind) -> Result<(), Unconfined> {
    Err(Unconfined { layer: Layer::SystemCalls, reason: layers::NOT_LINUX.to_owned() })
}
