//! The user's key, and the seal that it puts on an entry: HMAC-SHA-256.
//!
//! A plain checksum would show damage; it would not show an entry that somebody wrote on purpose.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::shelf::open_plainly;
use crate::Fault;
use crate::hash::hex;

/// Bytes of the key and of a seal.
pub(super) const SEAL_BYTES: usize = 32;

/// The key, ready to seal.
#[derive(Clone)]
pub(super) struct Seal(Hmac<Sha256>);

/// Without the key.
impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seal")
    }
}

impl Seal {
    /// Reads the key, or makes one if there is none. Two processes that make one at once end with the same.
    ///
    /// # Errors
    /// When the file is not a key that its user alone can read, or cannot be made.
    pub(super) fn open(key_file: &Path) -> Result<Self, Fault> {
        let key = match open_plainly(key_file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(key_file).map_err(Fault::file("make the key", key_file))?;
                open_plainly(key_file)
            }
            opened => opened,
        };
        let key = key.and_then(read).map_err(Fault::file("use the key", key_file))?;
        let seal = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
        Ok(Seal(seal))
    }

    /// Names the key without telling it: users who share a folder do not read each other's entries.
    pub(super) fn name(&self) -> String {
        hex(&self.of(b"name of this key")[..8])
    }

    pub(super) fn of(&self, content: &[u8]) -> [u8; SEAL_BYTES] {
        let seal = self.0.clone().chain_update(content);
        seal.finalize().into_bytes().into()
    }

    /// Compares in constant time.
    pub(super) fn fits(&self, seal: &[u8], content: &[u8]) -> bool {
        self.0.clone().chain_update(content).verify_slice(seal).is_ok()
    }
}

/// The key appears whole or not at all, and never replaces another.
fn make(key_file: &Path) -> io::Result<()> {
    let folder = match key_file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut key = [0; SEAL_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    // Readable by its owner alone, as all temporary files of this crate are.
    let mut file = tempfile::Builder::new().prefix(".key-").tempfile_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(key_file) {
        Err(_) if fs::symlink_metadata(key_file).is_ok() => Ok(()),
        outcome => outcome.map(drop).map_err(|error| error.error),
    }
}

fn read(mut file: File) -> io::Result<[u8; SEAL_BYTES]> {
    let metadata = file.metadata()?;
    let refused =
        |what: &str| Err(io::Error::other(format!("{what}; delete it, and a new one is made")));
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refused("it belongs to another user");
    }
    if metadata.mode() & 0o077 != 0 {
        return refused("others than its owner may read or write it");
    }
    if metadata.len() != SEAL_BYTES as u64 {
        return refused("it is not 32 bytes long");
    }
    let mut key = [0; SEAL_BYTES];
    file.read_exact(&mut key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key_file = folder.path().join("state/key");
        let seal = Seal::open(&key_file).expect("made");
        let mode = fs::metadata(&key_file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Seal::open(&key_file).expect("read");
        assert!(again.fits(&seal.of(b"content"), b"content"));
        assert!(!again.fits(&seal.of(b"content"), b"another"));
        let other = Seal::open(&folder.path().join("other")).expect("made");
        assert!(!other.fits(&seal.of(b"content"), b"content"));
        assert_ne!(other.name(), seal.name());
        assert!(!format!("{seal:?}").contains(&hex(&fs::read(&key_file).expect("read"))[..8]));
    }

    #[test]
    fn threads_that_race_for_a_key_end_with_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key_file = folder.path().join("key");
        let names: Vec<String> = std::thread::scope(|scope| {
            let racing: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Seal::open(&key_file).expect("a key").name()))
                .collect();
            racing.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
        let left = fs::read_dir(folder.path()).expect("listed").count();
        assert_eq!(left, 1, "temporary files are gone");
    }

    /// RFC 4231, test case 2, with the key padded by zeros, which HMAC does anyway.
    #[test]
    fn a_seal_is_hmac_sha_256() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key_file = folder.path().join("key");
        let mut key = [0; SEAL_BYTES];
        key[..4].copy_from_slice(b"Jefe");
        fs::write(&key_file, key).expect("written");
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("set");
        let seal = Seal::open(&key_file).expect("read");
        assert_eq!(
            hex(&seal.of(b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let refused = |path: &Path, expected: &str| {
            let text = Seal::open(path).expect_err(expected).to_string();
            assert!(text.contains(expected), "{text}");
        };
        let key_file = folder.path().join("key");
        fs::write(&key_file, [7; SEAL_BYTES]).expect("written");
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o644)).expect("set");
        refused(&key_file, "others than its owner");
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).expect("set");
        assert!(Seal::open(&key_file).is_ok());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&key_file, &link).expect("a link");
        refused(&link, "use the key");
        fs::write(&key_file, b"short").expect("written");
        refused(&key_file, "32 bytes");
        refused(folder.path(), "not a file");
    }
}
