//! One process at a time works on a run.
//!
//! The lock is the operating system's advisory lock on a file in the run directory: it ends with the process, however
//! that ends, so that a killed run can be resumed at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::Fault;

/// The run is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct RunLock(#[expect(dead_code, reason = "held open for its lock")] File);

/// The file that is locked.
pub(crate) fn file(run_dir: &Path) -> PathBuf {
    run_dir.join("lock")
}

/// Takes the run in this directory, which must exist.
pub(crate) fn take(run_dir: &Path) -> Result<RunLock, Fault> {
    let path = file(run_dir);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(Fault::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(RunLock(file)),
        Err(TryLockError::WouldBlock) => Err(Fault::RunInUse(run_dir.to_path_buf())),
        Err(TryLockError::Error(source)) => Err(Fault::file("lock", path)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_use_is_refused_until_it_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = take(folder.path()).expect("free");
        assert!(matches!(take(folder.path()), Err(Fault::RunInUse(_))));
        drop(lock);
        assert!(take(folder.path()).is_ok());
    }
}
