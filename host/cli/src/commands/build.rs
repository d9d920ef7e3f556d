//! `lossbox build PLUGIN`: the component of a plugin that passed every gate, as a file.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::args::Build;
use crate::settings::Settings;
use crate::{Outcome, plugin, screen};

pub(crate) fn run(args: &Build, settings: &Settings) -> Result<Outcome> {
    let (_, named, loaded) = plugin::load(&args.plugin, settings)?;
    let built = match loaded {
        Ok(built) => built,
        Err(rejection) => {
            if args.json {
                screen::json(&named.rejected(&rejection))?;
            }
            screen::rejection(&rejection);
            return Ok(Outcome::Rejected);
        }
    };
    let path = match &args.output {
        Some(path) => path.clone(),
        None => PathBuf::from(format!("{}.wasm", built.metadata().name)),
    };
    write_atomically(&path, built.bytes())?;
    screen::note(&format!(
        "wrote {} as {} ({} bytes, sha256 {})",
        plugin::identity(&built),
        path.display(),
        built.bytes().len(),
        built.hash()
    ));
    if args.json {
        screen::json(&json!({
            "verdict": "accepted",
            "name": built.metadata().name,
            "hash": built.hash(),
            "bytes": built.bytes().len(),
            "path": path.display().to_string(),
        }))?;
    }
    Ok(Outcome::Done)
}

/// The file is whole or not there: it is written beside its place and renamed into it.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let context = || format!("cannot write {}", path.display());
    let mut builder = tempfile::Builder::new();
    // A temporary file is its owner's alone; this one becomes a file like any other, as the umask says.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).with_context(context)?;
    file.write_all(bytes).with_context(context)?;
    file.persist(path).with_context(context)?;
    Ok(())
}
