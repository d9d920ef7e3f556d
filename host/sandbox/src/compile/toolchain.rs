//! The Rust compiler of this machine, found once.
//!
//! Candidates are compiled by the toolchain's own rustc, never through rustup's proxy, whose choice depends on the
//! folder it runs in.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Folder;
use super::process::{self, Run, Starved};
use crate::Fault;
use crate::child::Program;
use crate::confine::Files;
use crate::limits::COMPILE_WALL;

const TARGET: &str = "wasm32-wasip2";

/// A compiler that can build for wasm32-wasip2.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    sysroot: PathBuf,
    version: String,
}

impl Toolchain {
    /// Asks rustc where it lives, and adds the target through rustup if it is missing.
    pub(crate) fn find(notify: &dyn Fn(&str)) -> Result<Self, Fault> {
        let sysroot = PathBuf::from(ask(Path::new("rustc"), &["--print", "sysroot"])?.trim());
        let version = ask(&sysroot.join("bin/rustc"), &["-vV"])?;
        let toolchain = Toolchain { sysroot, version };
        toolchain.ensure_target(notify)?;
        Ok(toolchain)
    }

    /// One after the other: rustup fails where two add the same, and half a target is none. The toolchain's own folder is
    /// the lock, so that it holds between hosts with different caches; where it cannot be locked, nobody waits.
    fn ensure_target(&self, notify: &dyn Fn(&str)) -> Result<(), Fault> {
        let lock = File::open(&self.sysroot).ok();
        let _ = lock.as_ref().map(File::lock_shared);
        if self.has_target() {
            return Ok(());
        }
        let _ = lock.as_ref().map(File::unlock);
        let _ = lock.as_ref().map(File::lock);
        if self.has_target() {
            return Ok(());
        }
        notify(&format!("adding the {TARGET} target with rustup"));
        self.add_target()
    }

    pub(crate) fn sysroot(&self) -> &Path {
        &self.sysroot
    }

    pub(crate) fn rustc(&self) -> PathBuf {
        self.sysroot.join("bin/rustc")
    }

    pub(crate) fn cargo(&self) -> PathBuf {
        self.sysroot.join("bin/cargo")
    }

    /// What a tool of this toolchain may reach when it works in `folder`.
    pub(crate) fn files(&self, folder: &Path) -> Files {
        Files {
            readable: vec![self.sysroot.join("lib"), self.rustc()],
            writable: folder.to_owned(),
        }
    }

    /// Starts the compiler confined, once: where it cannot, no candidate is to blame.
    ///
    /// # Errors
    /// When it cannot be confined, does not start, or is another compiler than outside.
    pub(crate) fn start_confined(&self, child: &Program) -> Result<(), Fault> {
        let folder = Folder::fresh()?;
        let ended = process::run(
            child,
            Run {
                tool: &self.rustc(),
                arguments: vec!["-vV".into()],
                environment: vec![("TMPDIR", folder.path().into())],
                files: self.files(folder.path()),
                wall: COMPILE_WALL,
            },
        )?;
        if ended.stdout == self.version {
            return Ok(());
        }
        if let Some(Starved { had, wall }) = ended.starved {
            let tries = 1;
            return Err(Fault::Busy { had, wall, tries });
        }
        Err(Fault::ConfinedCompiler {
            program: self.rustc(),
            reason: match ended.stderr.trim() {
                "" => format!("it ended with {:?}", ended.status),
                said => said.chars().take(500).collect(),
            },
        })
    }

    /// What `rustc -vV` prints: rlibs fit exactly one version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    fn add_target(&self) -> Result<(), Fault> {
        let missing = |reason: String| Fault::NoTarget { reason };
        let name = self.sysroot.file_name().unwrap_or_default();
        let output = Command::new("rustup")
            .args(["target", "add", TARGET, "--toolchain"])
            .arg(name)
            .output()
            .map_err(|error| missing(format!("cannot run rustup: {error}")))?;
        if output.status.success() && self.has_target() {
            return Ok(());
        }
        Err(missing(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

fn ask(rustc: &Path, arguments: &[&str]) -> Result<String, Fault> {
    let output = Command::new(rustc).args(arguments).output().map_err(Fault::NoCompiler)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Fault::StrangeCompiler {
        question: format!("{} {}", rustc.display(), arguments.join(" ")),
        answer: String::from_utf8_lossy(&output.stderr).chars().take(500).collect(),
    })
}
