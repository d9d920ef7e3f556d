//! Which layers this machine has: what doctor prints, and what the sandbox asks before it opens.
//!
//! Landlock and seccomp are not asked about but tried, on a thread that confines itself and ends: a kernel can have
//! either and still refuse it.

use std::fmt;

/// One way in which a child is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Address space, processor time, size of files, number of open files.
    Limits,
    /// The compiler dies with the host.
    ParentDeath,
    /// Landlock: which files can be reached.
    Files,
    /// seccomp: which system calls there are.
    SystemCalls,
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Layer {
    /// Every layer, in the order in which they are applied.
    pub const ALL: [Layer; 4] =
        [Layer::Limits, Layer::ParentDeath, Layer::Files, Layer::SystemCalls];

    /// Its name, as messages have it.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Limits => "resource limits (setrlimit)",
            Layer::ParentDeath => "death with the parent (prctl)",
            Layer::Files => "access to files (Landlock)",
            Layer::SystemCalls => "system calls (seccomp)",
        }
    }

    /// What a candidate could do, were the layer not there.
    pub fn risk(self) -> &'static str {
        match self {
            Layer::Limits => "take the machine's memory, time and disk",
            Layer::ParentDeath => "go on compiling after the host was killed",
            Layer::Files => "read any of the user's files while it is compiled",
            Layer::SystemCalls => {
                "reach the network and other processes, if it takes over the compiler or escapes from WebAssembly"
            }
        }
    }
}

/// What this machine makes of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerStatus {
    /// The layer.
    pub layer: Layer,
    /// Why it is missing; `None` if it is there.
    pub missing: Option<String>,
}

/// Every layer, tried now.
pub fn layers() -> Vec<LayerStatus> {
    Layer::ALL.into_iter().map(|layer| LayerStatus { layer, missing: missing(layer) }).collect()
}

#[cfg(target_os = "linux")]
fn missing(layer: Layer) -> Option<String> {
    use super::{Kind, restrict_calls, restrict_files};
    match layer {
        Layer::Limits => None,
        Layer::ParentDeath => {
            rustix::process::parent_process_death_signal().err().map(|error| error.to_string())
        }
        Layer::Files => on_a_thread(|| restrict_files(None)),
        Layer::SystemCalls => on_a_thread(|| restrict_calls(Kind::Guest)),
    }
}

/// The thread keeps its confinement until it ends; no other thread gets any of it.
#[cfg(target_os = "linux")]
fn on_a_thread(
    confine: impl FnOnce() -> Result<(), super::Unconfined> + Send + 'static,
) -> Option<String> {
    std::thread::spawn(|| confine().err().map(|error| error.reason))
        .join()
        .unwrap_or_else(|_| Some("it could not be tried".to_owned()))
}

/// Why a layer is missing elsewhere.
#[cfg(not(target_os = "linux"))]
pub(super) const NOT_LINUX: &str = "this system is not Linux";

#[cfg(not(target_os = "linux"))]
fn missing(layer: Layer) -> Option<String> {
    match layer {
        Layer::Limits => {
            Some("this system does not enforce all of them, the address space least".to_owned())
        }
        Layer::ParentDeath | Layer::Files | Layer::SystemCalls => Some(NOT_LINUX.to_owned()),
    }
}
