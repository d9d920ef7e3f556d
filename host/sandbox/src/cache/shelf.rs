//! The files of the cache: one for each answer, written whole or not at all, swept when there are too many.
//!
//! Whoever can write the folder can put anything there, so nothing in it is trusted to be a file, small or well formed.
//! Processes may share the folder: an entry that another one deletes or replaces meanwhile is no error.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use super::question::Question;
use super::seal::{SEAL_BYTES, Seal};
use crate::Fault;
use crate::limits::CACHE_ENTRY_BYTES_MAX;

/// How an entry begins.
const MAGIC: &[u8; 8] = b"lossbox1";
const QUESTION_BYTES: usize = 32;
const HEAD_BYTES: usize = MAGIC.len() + SEAL_BYTES + QUESTION_BYTES;
/// What the smallest file takes on most disks.
const BLOCK_BYTES: u64 = 4 << 10;
/// A file that somebody began to write so long ago was given up.
const ABANDONED: Duration = Duration::from_secs(3_600);
const BEGUN: &str = ".begun-";

/// The entries under one key.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    seal: Seal,
    bytes_max: u64,
    /// Bytes that this process may still write before it sweeps.
    until_sweep: AtomicU64,
}

/// What is there for a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// An answer under our seal.
    Sealed(Vec<u8>),
    /// Something else, now deleted.
    Broken(PathBuf),
}

impl Shelf {
    pub(super) fn open(folder: &Path, seal: Seal, bytes_max: u64) -> Result<Self, Fault> {
        let folder = folder.join(seal.name());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(Fault::file("make", &folder))?;
        Ok(Shelf { folder, seal, bytes_max, until_sweep: AtomicU64::new(0) })
    }

    pub(super) fn find(&self, question: &Question) -> Found {
        let path = self.folder.join(question.file_name());
        match self.read(&path, question) {
            Ok(Some(answer)) => Found::Sealed(answer),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Ok(None) | Err(_) => {
                // If it cannot be deleted, it will be reported again.
                let _ = fs::remove_file(&path);
                Found::Broken(path)
            }
        }
    }

    /// The answer if the file is one of ours to this question.
    fn read(&self, path: &Path, question: &Question) -> io::Result<Option<Vec<u8>>> {
        let file = open_plainly(path)?;
        let mut bytes = Vec::new();
        let bytes_max = (HEAD_BYTES + CACHE_ENTRY_BYTES_MAX) as u64;
        (&file).take(bytes_max + 1).read_to_end(&mut bytes)?;
        let Some(sealed) = bytes.strip_prefix(MAGIC) else {
            return Ok(None);
        };
        let Some((seal, content)) = sealed.split_first_chunk::<SEAL_BYTES>() else {
            return Ok(None);
        };
        if !self.seal.fits(seal, content) {
            return Ok(None);
        }
        let answer = content.strip_prefix(question.bytes());
        // When it was last used is all that the time of an entry says; without it, it only leaves sooner.
        let _ = file.set_modified(SystemTime::now());
        Ok(answer.map(<[u8]>::to_vec))
    }

    /// Writes the entry beside its place and renames it into it.
    pub(super) fn put(&self, question: &Question, answer: &[u8]) -> Result<(), Fault> {
        let content = [question.bytes().as_slice(), answer].concat();
        let entry = [MAGIC.as_slice(), &self.seal.of(&content), &content].concat();
        self.sweep_before(entry.len() as u64);
        let path = self.folder.join(question.file_name());
        let write = || {
            let mut file = tempfile::Builder::new().prefix(BEGUN).tempfile_in(&self.folder)?;
            file.write_all(&entry)?;
            file.persist(&path).map_err(|error| error.error)
        };
        write().map(drop).map_err(Fault::file("write", &path))
    }

    /// The first entry that a process writes sweeps, and then one for each sixteenth of the limit that it wrote.
    fn sweep_before(&self, entry_bytes: u64) {
        let taken = entry_bytes.max(BLOCK_BYTES);
        let left = self.until_sweep.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(match left.checked_sub(taken) {
                Some(left) => left,
                None => self.bytes_max / 16,
            })
        });
        if left.is_ok_and(|left| left < taken) {
            sweep(&self.folder, self.bytes_max);
        }
    }
}

/// Opens a file and nothing else: no link is followed, and nobody waits for the other end of a pipe.
pub(super) fn open_plainly(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a file")),
    }
}

/// Brings the folder down to three quarters of the limit if it is above it, the least recently used going first.
///
/// Nothing here is an error: what cannot be listed or deleted is left to the next sweep.
fn sweep(folder: &Path, bytes_max: u64) {
    let Ok(listed) = fs::read_dir(folder) else {
        return;
    };
    let now = SystemTime::now();
    let mut entries = Vec::new();
    for entry in listed.flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let is_begun = entry.file_name().as_encoded_bytes().starts_with(BEGUN.as_bytes());
        let age = now.duration_since(used).unwrap_or_default();
        if is_begun && age > ABANDONED {
            let _ = fs::remove_file(entry.path());
        } else if metadata.is_file() && !is_begun {
            entries.push((used, metadata.len().max(BLOCK_BYTES), entry.path()));
        }
    }
    let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
    if total <= bytes_max {
        return;
    }
    entries.sort();
    for (_, bytes, path) in entries {
        if total <= bytes_max / 4 * 3 {
            return;
        }
        if fs::remove_file(path).is_ok() {
            total -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::Conditions;
    use super::*;

    const BYTES_MAX: u64 = 1 << 20;

    fn shelf(folder: &Path) -> Shelf {
        let seal = Seal::open(&folder.join("key")).expect("a key");
        Shelf::open(&folder.join("verdicts"), seal, BYTES_MAX).expect("a shelf")
    }

    fn question(text: &str) -> Question {
        Conditions::of("rustc", "sdk", &[]).question("file", [text.as_bytes()])
    }

    fn entry(shelf: &Shelf, text: &str) -> PathBuf {
        shelf.folder.join(question(text).file_name())
    }

    #[test]
    fn what_was_put_is_found_by_another_process() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        shelf(folder.path()).put(&question("a"), b"answer").expect("written");
        let other = shelf(folder.path());
        assert_eq!(other.find(&question("a")), Found::Sealed(b"answer".to_vec()));
        assert_eq!(other.find(&question("b")), Found::Nothing);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shelf = shelf(folder.path());
        shelf.put(&question("a"), b"answer").expect("written");
        let path = entry(&shelf, "a");
        let whole = fs::read(&path).expect("read");
        for byte in 0..whole.len() {
            let mut altered = whole.clone();
            altered[byte] ^= 1;
            fs::write(&path, altered).expect("written");
            assert_eq!(shelf.find(&question("a")), Found::Broken(path.clone()));
            assert_eq!(shelf.find(&question("a")), Found::Nothing, "it is deleted");
            fs::write(&path, &whole[..byte]).expect("written");
            assert_eq!(shelf.find(&question("a")), Found::Broken(path.clone()));
        }
        fs::write(&path, [whole.as_slice(), b"x"].concat()).expect("written");
        assert_eq!(shelf.find(&question("a")), Found::Broken(path.clone()));
        fs::write(&path, &whole).expect("written");
        assert_eq!(shelf.find(&question("a")), Found::Sealed(b"answer".to_vec()));
    }

    /// An answer under a good seal, but to another question.
    #[test]
    fn an_entry_in_anothers_place_is_noticed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shelf = shelf(folder.path());
        shelf.put(&question("good"), b"accepted").expect("written");
        let bad = entry(&shelf, "bad");
        fs::copy(entry(&shelf, "good"), &bad).expect("copied");
        assert_eq!(shelf.find(&question("bad")), Found::Broken(bad));
    }

    #[test]
    fn an_entry_under_another_key_is_not_even_looked_at() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let before = shelf(folder.path());
        before.put(&question("a"), b"answer").expect("written");
        let sealed = entry(&before, "a");
        fs::remove_file(folder.path().join("key")).expect("deleted");
        let after = shelf(folder.path());
        assert_eq!(after.find(&question("a")), Found::Nothing);
        let forged = entry(&after, "a");
        fs::copy(sealed, &forged).expect("copied");
        assert_eq!(after.find(&question("a")), Found::Broken(forged));
    }

    #[test]
    fn what_is_no_plain_file_neither_hangs_nor_is_followed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shelf = shelf(folder.path());
        shelf.put(&question("a"), b"answer").expect("written");
        let path = entry(&shelf, "link");
        std::os::unix::fs::symlink(entry(&shelf, "a"), &path).expect("a link");
        assert_eq!(shelf.find(&question("link")), Found::Broken(path));
        let path = entry(&shelf, "pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo").success());
        assert_eq!(shelf.find(&question("pipe")), Found::Broken(path));
        let path = entry(&shelf, "folder");
        fs::create_dir(&path).expect("a folder");
        assert_eq!(shelf.find(&question("folder")), Found::Broken(path));
        let path = entry(&shelf, "large");
        let large = File::create(&path).expect("a file");
        large.set_len(1 << 40).expect("sparse");
        assert_eq!(shelf.find(&question("large")), Found::Broken(path));
    }

    #[test]
    fn the_least_recently_used_go_when_there_are_too_many() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shelf = shelf(folder.path());
        let answer = vec![0; 16 << 10];
        let names: Vec<String> = (0..200).map(|i| i.to_string()).collect();
        for (age, name) in names.iter().rev().enumerate() {
            shelf.put(&question(name), &answer).expect("written");
            let file = File::open(entry(&shelf, name)).expect("there");
            let used = SystemTime::now() - Duration::from_secs(60 * (age as u64 + 1));
            file.set_modified(used).expect("set");
            // The oldest of all is used all the time.
            shelf.find(&question("199"));
        }
        let bytes: u64 = fs::read_dir(&shelf.folder)
            .expect("listed")
            .map(|entry| entry.expect("listed").metadata().expect("there").len())
            .sum();
        assert!(bytes <= BYTES_MAX + BYTES_MAX / 16 + (17 << 10), "{bytes}");
        assert!(bytes >= BYTES_MAX / 2, "{bytes}");
        assert!(matches!(shelf.find(&question("199")), Found::Sealed(_)));
    }

    #[test]
    fn a_sweep_takes_away_what_a_killed_writer_left_and_spares_what_one_is_writing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let abandoned = folder.path().join(format!("{BEGUN}old"));
        let begun = folder.path().join(format!("{BEGUN}new"));
        for path in [&abandoned, &begun] {
            fs::write(path, vec![0; 8 << 10]).expect("written");
        }
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        let file = File::open(&abandoned).expect("there");
        file.set_modified(long_ago).expect("set");
        sweep(folder.path(), 0);
        assert!(!abandoned.exists());
        assert!(begun.exists());
    }

    #[test]
    fn writers_and_readers_at_once_see_whole_entries_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let answer = |i: u8| vec![i; 10_000];
        std::thread::scope(|scope| {
            for i in 0..4 {
                let shelf = shelf(folder.path());
                scope.spawn(move || {
                    for _ in 0..50 {
                        shelf.put(&question("same"), &answer(i)).expect("written");
                        match shelf.find(&question("same")) {
                            Found::Sealed(found) => assert_eq!(found, answer(found[0])),
                            found => panic!("{found:?}"),
                        }
                    }
                });
            }
        });
    }
}
