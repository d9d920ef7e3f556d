//! Gate 2: from audited source to a component, by rustc directly.
//!
//! Every candidate gets a fresh temporary directory and a compiler of its own. cargo builds nothing: from a shared
//! target directory it hands out another candidate's component.

mod cargo;
mod diagnostics;
mod process;
pub(crate) mod rules;
mod sdk;
mod toolchain;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::limits::MEMORY_BYTES_MAX;
use crate::source::AuditedCrate;
use crate::{AuditedSource, Failure, Fault, Sandbox};

use diagnostics::Author;
pub(crate) use sdk::{Sdk, hex, sdk_hash, sdk_manual};
pub(crate) use toolchain::Toolchain;

/// What the author's file is wrapped in.
const WRAPPER: &str = include_str!("../../../../templates/plugin/lib.rs");

/// A component as bytes: compiled here, or read from a file. Not yet looked at.
#[derive(Debug, Clone)]
pub struct Component {
    bytes: Vec<u8>,
}

impl Component {
    /// Bytes that a user dropped: the next gate says whether they are a component.
    pub(crate) fn from_file(bytes: Vec<u8>) -> Self {
        Component { bytes }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

pub(crate) fn compile(sandbox: &Sandbox, source: &AuditedSource) -> Result<Component, Failure> {
    let folder = fresh_folder()?;
    write(folder.path(), Path::new("lib.rs"), WRAPPER)?;
    write(folder.path(), Path::new("loss.rs"), source.text())?;
    rustc(sandbox, folder.path(), "lib.rs", "2024", Author::OneFile)
}

/// Compiles a crate as if its one dependency were all that its manifest says.
pub(crate) fn compile_crate(
    sandbox: &Sandbox,
    source: &AuditedCrate,
) -> Result<Component, Failure> {
    let folder = fresh_folder()?;
    for (file, text) in source.files() {
        write(folder.path(), file, text)?;
    }
    let edition = cargo::edition(sandbox, folder.path())??;
    rustc(
        sandbox,
        folder.path(),
        "src/lib.rs",
        &edition,
        Author::Crate,
    )
}

fn fresh_folder() -> Result<TempDir, Fault> {
    tempfile::Builder::new()
        .prefix("lossbox-")
        .tempdir()
        .map_err(Fault::file(
            "make a temporary folder in",
            std::env::temp_dir(),
        ))
}

fn write(folder: &Path, name: &Path, text: &str) -> Result<(), Fault> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Fault::file("make", parent))?;
    }
    fs::write(&path, text).map_err(Fault::file("write", path))
}

fn rustc(
    sandbox: &Sandbox,
    folder: &Path,
    root: &str,
    edition: &str,
    author: Author,
) -> Result<Component, Failure> {
    let ended = process::run(
        &sandbox.child_program,
        &sandbox.toolchain.rustc(),
        &arguments(sandbox, root, edition),
        folder,
        sandbox.compile_wall,
    )?;
    match ended.outcome {
        process::Outcome::TimedOut => {
            let message = format!(
                "compiling took longer than {} s",
                sandbox.compile_wall.as_secs()
            );
            Err(rules::TIMEOUT.rejection(message).into())
        }
        process::Outcome::Crashed(how) => {
            Err(rules::CRASH.rejection(format!("the compiler {how}")).into())
        }
        process::Outcome::Failed => Err(diagnostics::rejection(&ended.stderr, author).into()),
        process::Outcome::Succeeded => {
            let path = folder.join("plugin.wasm");
            let bytes = fs::read(&path).map_err(Fault::file("read", path))?;
            Ok(Component { bytes })
        }
    }
}

fn arguments(sandbox: &Sandbox, root: &str, edition: &str) -> Vec<OsString> {
    let fixed = [
        "--crate-type=cdylib",
        "--crate-name=plugin",
        "--target=wasm32-wasip2",
        "-Copt-level=3",
        "-Cpanic=abort",
        "-Clto=fat",
        "-Ccodegen-units=1",
        "-Cstrip=symbols",
        "-Awarnings",
        "--error-format=json",
        "-o",
        "plugin.wasm",
    ];
    let mut arguments: Vec<OsString> = fixed.iter().map(OsString::from).collect();
    arguments.push(root.into());
    arguments.push(format!("--edition={edition}").into());
    arguments.push(format!("-Clink-arg=--max-memory={MEMORY_BYTES_MAX}").into());
    arguments.extend(sandbox.sdk.arguments());
    arguments.push("--sysroot".into());
    arguments.push(sandbox.toolchain.sysroot().into());
    arguments
}
