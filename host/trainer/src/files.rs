//! Whole files, read and written with messages that name them.
//!
//! A file is written beside its place and renamed, so that a reader finds the old content or the new one
//! and never half of it. Not here: what the bytes mean.

use std::path::{Path, PathBuf};

use crate::fault::Fault;

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|source| Fault::file("read", path, source))
}

/// Replaces the file by `content`, all or nothing.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Fault> {
    replace(path, |partial| {
        std::fs::write(partial, content).map_err(|source| Fault::file("write", path, source))
    })
}

/// Replaces the file by what `fill` writes under another name, all or nothing.
pub(crate) fn replace(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let partial = partial_sibling(path);
    let written = fill(&partial).and_then(|()| {
        let flushed =
            std::fs::File::options().write(true).open(&partial).and_then(|file| file.sync_all());
        let renamed = flushed.and_then(|()| std::fs::rename(&partial, path));
        renamed.map_err(|source| Fault::file("write", path, source))
    });
    if written.is_err() {
        // What was written so far is of no use; the first failure is the one to report.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

/// Creates a folder that `fill` fills under another name, all or nothing.
pub(crate) fn create_folder(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if folder.exists() {
        return Err(Fault::settings(
            format!("{} exists already", folder.display()),
            "choose another folder, or remove this one",
        ));
    }
    let partial = partial_sibling(folder);
    let cannot_create = |source| Fault::file("create", folder, source);
    let written = std::fs::create_dir_all(&partial)
        .map_err(cannot_create)
        .and_then(|()| fill(&partial))
        .and_then(|()| std::fs::rename(&partial, folder).map_err(cannot_create));
    if written.is_err() {
        // What was written so far is of no use; the first failure is the one to report.
        let _ = std::fs::remove_dir_all(&partial);
    }
    written
}

/// A name of its own for every process and thread, in the same folder.
fn partial_sibling(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    path.with_file_name(format!(".{name}.{}-{number}.partial", std::process::id()))
}
