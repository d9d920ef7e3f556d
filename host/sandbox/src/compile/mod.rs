//! Gate 2: from audited source to a component, by rustc directly.
//!
//! Every candidate gets a fresh temporary directory and a compiler of its own, confined to it. cargo builds nothing: from
//! a shared target directory it hands out another candidate's component.
//!
//! What a compiler can reach and what that does not cover stands in [`confine`](crate::confine); how long it may take and
//! how much it may write, in [`limits`](crate::limits). Its environment holds TMPDIR and nothing else.

mod cargo;
mod diagnostics;
mod folder;
mod manifest;
mod process;
pub(crate) mod rules;
mod rustc;
mod sdk;
mod space;
#[cfg(all(test, target_os = "linux"))]
pub(crate) mod tests;
mod toolchain;

use std::fs;
use std::path::Path;

use crate::source::AuditedCrate;
use crate::{AuditedSource, Failure, Fault, Sandbox};

use diagnostics::Author;
use folder::Folder;
pub(crate) use folder::sweep;
pub(crate) use process::Starved;
pub(crate) use sdk::{Sdk, sdk_hash, sdk_manual};
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
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Component { bytes }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// What was tried once; it says nothing where the wall was met for want of a processor, which is nobody's fault.
pub(crate) type Tried<T> = Result<Result<T, Starved>, Failure>;

pub(crate) fn compile(sandbox: &Sandbox, source: &AuditedSource) -> Tried<Component> {
    one_file(sandbox, source.text())
}

fn one_file(sandbox: &Sandbox, text: &str) -> Tried<Component> {
    let folder = Folder::fresh()?;
    write(folder.path(), Path::new("lib.rs"), WRAPPER)?;
    write(folder.path(), Path::new("loss.rs"), text)?;
    rustc::component(sandbox, folder.path(), "lib.rs", "2024", Author::OneFile)
}

/// Compiles a crate as if its one dependency were all that its manifest says.
pub(crate) fn compile_crate(sandbox: &Sandbox, source: &AuditedCrate) -> Tried<Component> {
    let folder = Folder::fresh()?;
    for (file, text) in source.files() {
        match file == Path::new("Cargo.toml") {
            true => write(folder.path(), file, &manifest::checked(text)?)?,
            false => write(folder.path(), file, text)?,
        }
    }
    let edition = match cargo::edition(sandbox, folder.path())? {
        Ok(edition) => edition,
        Err(starved) => return Ok(Err(starved)),
    };
    rustc::component(sandbox, folder.path(), "src/lib.rs", &edition, Author::Crate)
}

fn write(folder: &Path, name: &Path, text: &str) -> Result<(), Fault> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Fault::file("make", parent))?;
    }
    fs::write(&path, text).map_err(Fault::file("write", path))
}
