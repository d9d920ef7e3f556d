//! When a file that changes is worth reading: once it has looked the same for a while.
//!
//! Whoever writes a file writes it in pieces, and no system tells when the last one came. So the events of the folder
//! only say when to look; what is there, and whether it is still changing, is found by looking.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files of a crate that are looked at: more than the gates take.
const CRATE_FILES_MAX: usize = 256;

/// What a plugin's files look like without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Vec<(PathBuf, Option<Look>)>);

/// Size, times of change, identity.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    /// Of a file, or of what the gates read of a crate and the names beside it.
    pub(super) fn of(path: &Path) -> Self {
        let mut stamp = Stamp(Vec::new());
        stamp.add(path);
        if path.is_dir() {
            // Of what else is there, the name matters: a build.rs is refused. What a build writes does not.
            for other in names(path) {
                stamp.0.push((other, None));
            }
            stamp.add(&path.join("Cargo.toml"));
            stamp.add_folder(&path.join("src"));
        }
        stamp
    }

    fn add(&mut self, path: &Path) {
        let look = fs::metadata(path).ok().map(|metadata| look(&metadata));
        let is_folder = path.is_dir();
        self.0.push((path.to_owned(), look.filter(|_| !is_folder)));
    }

    fn add_folder(&mut self, folder: &Path) {
        for path in names(folder) {
            if self.0.len() > CRATE_FILES_MAX {
                return;
            }
            let is_link = path.is_symlink();
            self.add(&path);
            if path.is_dir() && !is_link {
                self.add_folder(&path);
            }
        }
    }
}

fn look(metadata: &Metadata) -> Look {
    Look {
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        inode: metadata.ino(),
    }
}

/// Nothing where there is no folder: it may have gone meanwhile.
fn names(folder: &Path) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    names.sort();
    names
}

/// What was seen of each file so far.
#[derive(Debug)]
pub(super) struct Settling {
    settle: Duration,
    seen: BTreeMap<PathBuf, Seen>,
}

#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    since: Instant,
    /// What it looked like when it was last taken.
    taken: Option<Stamp>,
}

/// What one look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Files that are new or different and have been the same for long enough.
    pub(super) settled: Vec<PathBuf>,
    /// Files that were taken before and are gone.
    pub(super) gone: Vec<PathBuf>,
}

impl Settling {
    /// Nothing seen yet; a file has settled after `settle`.
    pub(super) fn new(settle: Duration) -> Self {
        Settling { settle, seen: BTreeMap::new() }
    }

    /// These were taken as they looked at this time.
    pub(super) fn take(&mut self, now: Instant, present: BTreeMap<PathBuf, Stamp>) {
        for (path, stamp) in present {
            let taken = Some(stamp.clone());
            let since = now;
            self.seen.insert(path, Seen { stamp, since, taken });
        }
    }

    /// Compares what is present with what was seen before; what has settled counts as taken from now on.
    pub(super) fn look(&mut self, now: Instant, present: BTreeMap<PathBuf, Stamp>) -> Changes {
        let mut changes = Changes::default();
        self.seen.retain(|path, seen| {
            let stays = present.contains_key(path);
            if !stays && seen.taken.is_some() {
                changes.gone.push(path.clone());
            }
            stays
        });
        for (path, stamp) in present {
            let seen = self.seen.entry(path.clone()).or_insert_with(|| Seen {
                stamp: stamp.clone(),
                since: now,
                taken: None,
            });
            if seen.stamp != stamp {
                seen.stamp = stamp;
                seen.since = now;
            } else if seen.taken.as_ref() != Some(&stamp)
                && now.duration_since(seen.since) >= self.settle
            {
                seen.taken = Some(stamp);
                changes.settled.push(path);
            }
        }
        changes
    }

    /// Whether something has not settled yet, so that another look is due soon.
    pub(super) fn is_waiting(&self) -> bool {
        self.seen.values().any(|seen| seen.taken.as_ref() != Some(&seen.stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_millis(200);

    fn stamp(bytes: u64) -> Stamp {
        let look = Look { bytes, modified: (0, 0), changed: (0, 0), inode: 1 };
        Stamp(vec![(PathBuf::from("x.rs"), Some(look))])
    }

    /// Looks at one file (or at none) after so many milliseconds.
    struct Clock {
        start: Instant,
        settling: Settling,
    }

    impl Clock {
        fn new() -> Self {
            Clock { start: Instant::now(), settling: Settling::new(SETTLE) }
        }

        fn at(&mut self, ms: u64, bytes: Option<u64>) -> (usize, usize) {
            let present =
                bytes.map(|bytes| (PathBuf::from("x.rs"), stamp(bytes))).into_iter().collect();
            let now = self.start + Duration::from_millis(ms);
            let changes = self.settling.look(now, present);
            (changes.settled.len(), changes.gone.len())
        }
    }

    #[test]
    fn a_file_is_taken_once_when_it_has_stopped_changing() {
        let mut clock = Clock::new();
        assert_eq!(clock.at(0, Some(10)), (0, 0));
        assert_eq!(clock.at(150, Some(20)), (0, 0), "half written");
        assert_eq!(clock.at(300, Some(20)), (0, 0), "not long enough");
        assert!(clock.settling.is_waiting());
        assert_eq!(clock.at(350, Some(20)), (1, 0));
        assert_eq!(clock.at(900, Some(20)), (0, 0), "once");
        assert!(!clock.settling.is_waiting());
        assert_eq!(clock.at(1_000, Some(30)), (0, 0));
        assert_eq!(clock.at(1_200, Some(30)), (1, 0), "it changed again");
    }

    #[test]
    fn a_file_that_vanishes_before_it_was_taken_was_never_there() {
        let mut clock = Clock::new();
        assert_eq!(clock.at(0, Some(10)), (0, 0));
        assert_eq!(clock.at(100, None), (0, 0));
        assert!(!clock.settling.is_waiting());
        assert_eq!(clock.at(150, Some(10)), (0, 0));
        assert_eq!(clock.at(340, Some(10)), (0, 0), "it is a new file");
        assert_eq!(clock.at(350, Some(10)), (1, 0));
        assert_eq!(clock.at(400, None), (0, 1));
        assert_eq!(clock.at(500, None), (0, 0));
    }

    #[test]
    fn a_crate_changes_with_its_sources_and_with_what_steers_cargo_but_not_with_what_a_build_writes()
     {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |path: &str| folder.path().join(path);
        for path in ["src/deep/x.rs", "target/a", "Cargo.toml"] {
            fs::create_dir_all(at(path).parent().expect("in the folder")).expect("made");
            fs::write(at(path), "").expect("written");
        }
        let before = Stamp::of(folder.path());
        assert_eq!(before, Stamp::of(folder.path()));
        fs::write(at("target/b"), "built").expect("written");
        assert_eq!(before, Stamp::of(folder.path()));
        fs::write(at("src/deep/x.rs"), "changed").expect("written");
        let after = Stamp::of(folder.path());
        assert_ne!(before, after);
        fs::write(at("build.rs"), "").expect("written");
        assert_ne!(after, Stamp::of(folder.path()));
    }
}
