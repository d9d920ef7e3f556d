//! Where lossbox keeps what can be made again: the compiled SDK, verdicts, and the sampled preference pairs.
//!
//! Nothing here is precious: the folder may be deleted at any time. The key that seals the verdicts lies elsewhere, so
//! that it does not travel when the folder does.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The folder the user named, else `$XDG_CACHE_HOME/lossbox`, else `~/.cache/lossbox`.
///
/// # Errors
/// When none of the three is known, or the folder cannot be made.
pub(crate) fn folder(named: Option<PathBuf>) -> Result<PathBuf> {
    let folder = match named {
        Some(folder) => folder,
        None => default_folder()?,
    };
    std::fs::create_dir_all(&folder).with_context(|| {
        format!(
            "cannot make the cache folder {}\nhint: name another with --cache",
            folder.display()
        )
    })?;
    folder.canonicalize().with_context(|| format!("cannot resolve {}", folder.display()))
}

fn default_folder() -> Result<PathBuf> {
    if let Some(base) = absolute("XDG_CACHE_HOME") {
        return Ok(base.join("lossbox"));
    }
    match absolute("HOME").or_else(|| absolute("LOCALAPPDATA")) {
        Some(home) => Ok(home.join(".cache").join("lossbox")),
        None => bail!("no home folder is known\nhint: name a cache folder with --cache DIR"),
    }
}

/// `$XDG_STATE_HOME/lossbox/verdicts.key`, else `~/.local/state/lossbox/verdicts.key`; without a home, in the cache.
pub(crate) fn key_file(cache: &Path) -> PathBuf {
    let state =
        absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local").join("state")));
    match state {
        Some(state) => state.join("lossbox").join("verdicts.key"),
        None => cache.join("verdicts.key"),
    }
}

fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| Path::is_absolute(path))
}
