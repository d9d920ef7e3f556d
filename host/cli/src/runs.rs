//! Where runs go that the user does not name: numbered folders under `runs`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The next free number under `runs`, or the highest one that is there; `prefix` begins the names.
///
/// # Errors
/// When there is none to resume.
pub(crate) fn folder(prefix: &str, resume: bool) -> Result<PathBuf> {
    numbered(Path::new("runs"), prefix, resume)
}

fn numbered(runs: &Path, prefix: &str, resume: bool) -> Result<PathBuf> {
    let number = |name: &str| name.strip_prefix(prefix)?.parse::<u64>().ok();
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let last = entries.filter_map(|entry| number(entry.file_name().to_str()?)).max();
    match (last, resume) {
        (Some(last), true) => Ok(runs.join(format!("{prefix}{last}"))),
        (None, true) => {
            bail!("there is no run under {}\nhint: name one with --run", runs.display())
        }
        (last, false) => Ok(runs.join(format!("{prefix}{}", last.unwrap_or(0) + 1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_numbered_and_the_latest_is_resumed() {
        let folder = tempfile::tempdir().expect("a folder");
        let runs = folder.path().join("runs");
        for prefix in ["", "train-"] {
            let [next, last, first] = [11, 10, 1].map(|n| runs.join(format!("{prefix}{n}")));
            assert!(numbered(&runs, prefix, true).is_err());
            assert_eq!(numbered(&runs, prefix, false).expect("free"), first);
            for name in ["1", "9", "10", "x"].map(|name| format!("{prefix}{name}")) {
                std::fs::create_dir_all(runs.join(name)).expect("made");
            }
            // Whatever else lies there has numbers of its own.
            std::fs::create_dir_all(runs.join("other-30")).expect("made");
            assert_eq!(numbered(&runs, prefix, false).expect("free"), next);
            assert_eq!(numbered(&runs, prefix, true).expect("there"), last);
        }
    }
}
