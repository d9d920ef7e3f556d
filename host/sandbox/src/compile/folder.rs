//! The folders that candidates are compiled in and the SDK is built in, and what becomes of those whose process was killed.
//!
//! A folder is locked as long as its process lives, however that ends. So whoever can lock one that is not new knows
//! that nobody works in it, and may remove it: any number of processes may start and sweep at once.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::Fault;

const PREFIX: &str = "lossbox-";

/// A folder as young as this may have been made and not locked yet.
const NEW: Duration = Duration::from_secs(60);

/// A folder that nobody else can have looked into: its name is random, its mode 0700. It goes with its candidate.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    /// Held open for its lock.
    _lock: File,
}

impl Folder {
    pub(crate) fn fresh() -> Result<Self, Fault> {
        Folder::fresh_in(&std::env::temp_dir(), PREFIX)
    }

    /// One whose name begins with `prefix`.
    pub(super) fn fresh_in(parent: &Path, prefix: &str) -> Result<Self, Fault> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
        let folder = folder.map_err(Fault::file("make a temporary folder in", parent))?;
        let lock = File::open(folder.path()).and_then(|lock| lock.lock().map(|()| lock));
        let lock = lock.map_err(Fault::file("lock", folder.path()))?;
        Ok(Folder { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what killed processes of this user left behind. What cannot be removed is left to the next one.
pub(crate) fn sweep() {
    sweep_in(&std::env::temp_dir(), PREFIX);
}

/// The same of the folders in `parent` whose names begin with `prefix`.
pub(super) fn sweep_in(parent: &Path, prefix: &str) {
    sweep_older(parent, prefix, NEW);
}

fn sweep_older(parent: &Path, prefix: &str, new: Duration) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let is_named_so = entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes());
        if is_named_so && is_old_folder_of_ours(&entry, new) {
            remove_if_free(&entry.path());
        }
    }
}

/// A link is no folder here: its own metadata is looked at.
fn is_old_folder_of_ours(entry: &fs::DirEntry, new: Duration) -> bool {
    entry.metadata().is_ok_and(|found| {
        let age = found.modified().map(|at| SystemTime::now().duration_since(at));
        found.is_dir()
            && found.uid() == rustix::process::getuid().as_raw()
            && matches!(age, Ok(Ok(age)) if age >= new)
    })
}

fn remove_if_free(folder: &Path) {
    let Ok(lock) = File::open(folder) else {
        return;
    };
    if lock.try_lock().is_ok() {
        let _ = fs::remove_dir_all(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_works_in_is_swept_and_nothing_else() {
        let parent = tempfile::tempdir().expect("a folder");
        let at = |name: &str| parent.path().join(name);
        let in_use = Folder::fresh_in(parent.path(), PREFIX).expect("a folder");
        for name in ["lossbox-killed", "another"] {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("lib.rs"), "").expect("written");
        }
        std::os::unix::fs::symlink(at("another"), at("lossbox-link")).expect("a link");
        sweep_in(parent.path(), PREFIX);
        assert!(at("lossbox-killed").exists(), "it is new");
        sweep_older(parent.path(), PREFIX, Duration::ZERO);
        assert!(!at("lossbox-killed").exists());
        assert!(in_use.path().exists() && at("another/lib.rs").exists());
        assert!(at("lossbox-link").is_symlink());
        let path = in_use.path().to_owned();
        drop(in_use);
        assert!(!path.exists());
    }
}
