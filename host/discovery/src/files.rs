//! Files that are there whole or not at all.

use std::io::Write;
use std::path::Path;

use crate::Fault;

/// Writes a file by way of a temporary one beside it, and makes its folder if there is none.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Fault::file("create", folder))?;
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(Fault::file("write in", folder))?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all());
    written.map_err(Fault::file("write", path))?;
    readable_by_all(file.as_file()).map_err(Fault::file("write", path))?;
    file.persist(path)
        .map_err(|error| Fault::file("write", path)(error.error))?;
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
