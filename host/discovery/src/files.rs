//! Files that are there whole or not at all.

use std::io::Write;
use std::path::Path;

use crate::Fault;

/// Writes a file by way of a temporary one beside it, and makes its folder if there is none.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Fault::file("create", folder))?;
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(Fault::file("write in", folder))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all());
    written.map_err(Fault::file("write", path))?;
    readable_by_all(file.as_file()).map_err(Fault::file("write", path))?;
    file.persist(path).map_err(|error| Fault::file("write", path)(error.error))?;
    Ok(())
}

/// Finds out whether files can be written in a folder that may have to be made yet. Nothing is left of the trial.
pub(crate) fn check_writable(folder: &Path) -> Result<(), Fault> {
    let mut there = folder.ancestors().filter(|folder| folder.exists());
    let there = there.next().unwrap_or(Path::new("."));
    tempfile::tempfile_in(there).map_err(Fault::file("write in", folder))?;
    Ok(())
}

/// A temporary file is private; what replaces a plain file should be as readable as one.
fn readable_by_all(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_tried_without_making_it() {
        let folder = tempfile::tempdir().expect("a folder");
        check_writable(&folder.path().join("a/b")).expect("can be made");
        assert!(!folder.path().join("a").exists());
        std::fs::write(folder.path().join("a"), "").expect("written");
        let fault = check_writable(&folder.path().join("a/b")).expect_err("a is a file");
        assert!(fault.to_string().contains("cannot write in"), "{fault}");
    }
}
