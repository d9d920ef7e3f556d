//! What is ours or the machine's fault: no compiler, a full disk. Every message names the remedy.
//!
//! A fault stops the work that needs it and never reaches a proposer.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::confine::Layer;
use crate::printable::name_of;

/// Why the sandbox cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is no Rust compiler.
    #[error("cannot run rustc: {0}\nhint: install Rust from https://rustup.rs")]
    NoCompiler(io::Error),
    /// There is no cargo beside the compiler, which a crate's manifest needs.
    #[error("cannot run the toolchain's cargo: {0}\nhint: run `rustup component add cargo`")]
    NoCargo(io::Error),
    /// The compiler answered something else than expected.
    #[error(
        "rustc answered unexpectedly to {question}: {answer}\nhint: use the toolchain of rust-toolchain.toml"
    )]
    StrangeCompiler {
        /// The command line.
        question: String,
        /// The beginning of what it printed.
        answer: String,
    },
    /// The wasm32-wasip2 target is missing and could not be added.
    #[error(
        "the target wasm32-wasip2 is missing: {reason}\nhint: run `rustup target add wasm32-wasip2`"
    )]
    NoTarget {
        /// What rustup said.
        reason: String,
    },
    /// Our own SDK does not build.
    #[error(
        "the guest SDK does not build with this compiler: {0}\nhint: use the toolchain of rust-toolchain.toml"
    )]
    SdkBuild(String),
    /// The SDK in the cache is not what was built. No candidate is to blame for what rustc says of it.
    #[error("the guest SDK in {} is damaged\nhint: run the command again, which builds it anew", .0.display())]
    SdkDamaged(PathBuf),
    /// Other programs had the processor while a compiler's clock ran out, each time that it was tried. The candidate may be
    /// as good as any.
    #[error(
        "the machine is too busy to compile: the compiler had the processor for {:.1} s of {:.1} s at try {tries}\
         \nhint: try again when the machine has less to do; a program that embeds the sandbox can set Options::compile_wall",
        had.as_secs_f64(), wall.as_secs_f64()
    )]
    Busy {
        /// What the compiler had of the processor the last time.
        had: Duration,
        /// Its wall clock.
        wall: Duration,
        /// How often it was tried.
        tries: u32,
    },
    /// The file system that candidates are compiled on is full. No candidate is to blame for what the compiler says there.
    #[error(
        "{} has {left} bytes left, too few to compile in\nhint: free some space, or set TMPDIR to another folder",
        folder.display()
    )]
    DiskFull {
        /// The folder for temporary files.
        folder: PathBuf,
        /// Bytes that this user may still write.
        left: u64,
    },
    /// A file or folder could not be read or written.
    #[error(
        "cannot {action} {}: {source}\nhint: check that it exists, that this user may use it, and that its disk is not full",
        name_of(path)
    )]
    File {
        /// What was tried, as in "read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The host called a plugin in a way that breaks the contract.
    #[error("the call is not well formed: {0}")]
    Call(String),
    /// A child process could not be started or watched.
    #[error(
        "cannot run the sandbox's child process {}: {source}\nhint: check that the program is still there, and end other \
         programs if the machine has no processes left",
        program.display()
    )]
    Child {
        /// The program that was to be the child.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The platform lacks a way to confine children, and the options do not accept that.
    #[error(
        "this machine cannot confine {layer}: {reason}\nhint: use Linux 5.19 or newer with Landlock and seccomp enabled; \
         --accept-missing-confinement accepts the risk that a candidate can {}",
        .layer.risk()
    )]
    MissingLayer {
        /// What is missing.
        layer: Layer,
        /// Why.
        reason: String,
    },
    /// A confined compiler does not start, or is another than the one outside.
    #[error(
        "{} does not run confined: {reason}\nhint: it may read its toolchain, /lib and /usr/lib alone; use one from https://rustup.rs",
        program.display()
    )]
    ConfinedCompiler {
        /// The compiler.
        program: PathBuf,
        /// What it said.
        reason: String,
    },
    /// A file outside every candidate would steer cargo.
    #[error(
        "{} steers cargo, which reads a crate's manifest below it\nhint: remove it, or set TMPDIR to another folder",
        .0.display()
    )]
    Steered(PathBuf),
    /// A thread for a plugin in process could not be started.
    #[error(
        "cannot start a thread for the plugin: {0}\nhint: end other programs, or raise the limit with ulimit -u"
    )]
    Thread(io::Error),
    /// The program that was started does not behave as a child of the sandbox.
    #[error(
        "{} did not answer as the sandbox's child\nhint: its main must call sandbox::child::run_if_child first",
        .0.display()
    )]
    NotAChild(PathBuf),
}

impl Fault {
    /// A file fault: for `map_err(Fault::file("read", path))`.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Fault {
        let path = path.into();
        move |source| Fault::File { action, path, source }
    }

    pub(crate) fn child(program: &Path, source: io::Error) -> Fault {
        Fault::Child { program: program.to_owned(), source }
    }
}
