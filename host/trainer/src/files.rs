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

/// Refuses a place that could not be written to later: its folder is missing, or takes no new file.
pub(crate) fn check_place(path: &Path) -> Result<(), Fault> {
    let probe = partial_sibling(path);
    std::fs::write(&probe, b"").map_err(|source| Fault::file("write", path, source))?;
    std::fs::remove_file(&probe).map_err(|source| Fault::file("write", path, source))
}

/// Refuses a folder for a trained model that is there already: nothing is overwritten.
///
/// # Errors
///
/// When it is there.
pub fn refuse_existing(folder: &Path) -> Result<(), Fault> {
    match folder.exists() {
        false => Ok(()),
        true => Err(Fault::settings(
            format!("{} exists already", folder.display()),
            "name another folder with --save, or remove this one",
        )),
    }
}

/// Creates a folder that `fill` fills under another name, all or nothing.
pub(crate) fn create_folder(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), Fault>,
) -> Result<(), Fault> {
    refuse_existing(folder)?;
    let partial = partial_sibling(folder);
    // A process that had this number before may have left it behind.
    let _ = std::fs::remove_dir_all(&partial);
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
    path.with_file_name(format!(".{name}.{}-{number}{PARTIAL}", std::process::id()))
}

const PARTIAL: &str = ".partial";

/// Removes what processes that are gone left half-written in a folder. What cannot be removed stays: it is in
/// nobody's way.
pub(crate) fn sweep(folder: &Path) {
    // The folder of a bare name is the current one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let process = name.to_str().and_then(writer_of);
        if process.is_none_or(is_running) {
            continue;
        }
        let _ = match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => std::fs::remove_dir_all(entry.path()),
            false => std::fs::remove_file(entry.path()),
        };
    }
}

/// The process that a name of [`partial_sibling`]'s was made by.
fn writer_of(name: &str) -> Option<u32> {
    let (_, made_by) = name.strip_prefix('.')?.strip_suffix(PARTIAL)?.rsplit_once('.')?;
    made_by.split_once('-')?.0.parse().ok()
}

/// Where the system does not say, a process counts as running.
fn is_running(process: u32) -> bool {
    let processes = Path::new("/proc");
    !processes.join("self").exists() || processes.join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_that_is_gone_left_behind_is_swept_and_nothing_else() {
        if !Path::new("/proc/self").exists() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        // No process has this number: Linux gives none above 2²².
        let gone = [".step-3.4194305-1.partial", ".model.4194305-12.partial"];
        std::fs::create_dir_all(at(gone[0]).join("inside")).expect("made");
        std::fs::write(at(gone[1]), "half").expect("written");
        let ours = partial_sibling(&at("step-4"));
        let stays =
            [ours.as_path(), &at("step-2"), &at(".x.partial"), &at(".x.7-a"), &at("a.partial")];
        for path in stays {
            std::fs::write(path, "").expect("written");
        }
        sweep(folder.path());
        assert!(gone.iter().all(|name| !at(name).exists()));
        assert!(stays.iter().all(|path| path.exists()));
    }
}
