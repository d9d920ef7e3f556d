//! The workspace that cargo would find above a dropped crate, and obey.
//!
//! A workspace above a crate chooses its profiles, patches, lints and resolver. The sandbox reads a crate's manifest in a
//! copy that has no parents, so such a crate would be another one here than where its author built it; it is refused
//! instead. A workspace that excludes the crate's folder has nothing to say about it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::limits::SOURCE_BYTES_MAX;

/// The manifest of the nearest workspace above `folder` that does not exclude it.
pub(super) fn of(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    folder
        .ancestors()
        .skip(1)
        .map(|parent| parent.join("Cargo.toml"))
        .find(|manifest| claims(manifest, &folder))
}

/// What cannot be read or is no manifest claims nothing: it is not going to be obeyed.
fn claims(manifest: &Path, folder: &Path) -> bool {
    let Some(workspace) = workspace(manifest) else {
        return false;
    };
    let root = manifest.parent().unwrap_or(manifest);
    let excluded = workspace.get("exclude").and_then(Value::as_array);
    !excluded
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|excluded| folder.starts_with(root.join(excluded)))
}

fn workspace(manifest: &Path) -> Option<Table> {
    let mut text = String::new();
    File::open(manifest).ok()?.take(SOURCE_BYTES_MAX as u64).read_to_string(&mut text).ok()?;
    let mut table: Table = text.parse().ok()?;
    match table.remove("workspace")? {
        Value::Table(workspace) => Some(workspace),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_claims_what_it_does_not_exclude() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("plugins/mine");
        std::fs::create_dir_all(&folder).expect("made");
        let manifest = root.path().canonicalize().expect("there").join("Cargo.toml");
        for (text, expected) in [
            ("[workspace]\nmembers = []\n", Some(&manifest)),
            ("[workspace]\nexclude = [\"other\"]\n", Some(&manifest)),
            ("[workspace]\nexclude = [\"plugins\"]\n", None),
            ("[package]\nname = \"alone\"\n", None),
            ("[workspace", None),
        ] {
            std::fs::write(&manifest, text).expect("written");
            assert_eq!(of(&folder).as_ref(), expected, "{text}");
        }
    }
}
