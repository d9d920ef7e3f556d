//! What somebody puts before the gates, read once: what is hashed is what is judged, whatever happens to the file.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use crate::limits::{COMPONENT_BYTES_MAX, SOURCE_BYTES_MAX};
use crate::source::{self, CrateSource};
use crate::{Failure, Fault, Rejection, hash};

/// A plugin's content in memory: a one-file loss, a crate, or a component. Nothing has looked at it yet.
#[derive(Debug, Clone)]
pub struct Submission {
    pub(crate) content: Content,
    sha256: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    OneFile(Vec<u8>),
    Crate(CrateSource),
    Component(Vec<u8>),
    /// What was refused while it was read: a crate, or a link.
    Refused(Rejection),
}

impl Submission {
    /// The text of a one-file loss.
    pub fn one_file(text: &str) -> Self {
        Submission {
            content: Content::OneFile(text.as_bytes().to_vec()),
            sha256: Some(hash::of(text)),
        }
    }

    /// Reads a crate's folder, a component (`.wasm`) or a one-file loss (any other file), each up to its limit.
    ///
    /// # Errors
    /// When it cannot be read or is neither a file nor a folder.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        if fs::metadata(path).map_err(Fault::file("read", path))?.is_dir() {
            return Self::read_crate(path);
        }
        let is_component = path.extension().is_some_and(|extension| extension == "wasm");
        let bytes_max = match is_component {
            true => COMPONENT_BYTES_MAX,
            false => SOURCE_BYTES_MAX,
        };
        let bytes = read(path, bytes_max).map_err(Fault::file("read", path))?;
        let is_whole = bytes.len() <= bytes_max;
        Ok(Submission {
            sha256: is_whole.then(|| hash::of(&bytes)),
            content: match is_component {
                true => Content::Component(bytes),
                false => Content::OneFile(bytes),
            },
        })
    }

    /// As [`read`](Self::read), of an entry of a folder that others may fill: a symbolic link in its place is not followed
    /// but rejected by `source/crate-layout`, since what it leads to is not what was put there.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_entry(path: &Path) -> Result<Self, Fault> {
        let found = fs::symlink_metadata(path).map_err(Fault::file("read", path))?;
        match found.is_symlink() {
            false => Self::read(path),
            true => {
                Ok(Submission { sha256: None, content: Content::Refused(source::is_a_link(path)) })
            }
        }
    }

    fn read_crate(folder: &Path) -> Result<Self, Fault> {
        match CrateSource::read(folder) {
            Ok(source) => Ok(Submission {
                sha256: Some(hash_of_files(&source)),
                content: Content::Crate(source),
            }),
            Err(Failure::Rejected(rejection)) => {
                Ok(Submission { sha256: None, content: Content::Refused(*rejection) })
            }
            Err(Failure::Fault(fault)) => Err(fault),
        }
    }

    /// SHA-256 of the content in hexadecimal digits, or `None` if it was too large or too odd to be read whole.
    ///
    /// Of a file it is what `sha256sum` prints. Of a crate it is over `Cargo.toml` and the files in `src`, each as
    /// the length and bytes of its path and of its text, lengths as 64 bits, little-endian.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// The text of a one-file loss, if it is text.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::OneFile(bytes) => std::str::from_utf8(bytes).ok(),
            Content::Crate(_) | Content::Component(_) | Content::Refused(_) => None,
        }
    }
}

/// A file up to one byte beyond its limit, which is enough for a gate to reject it. Nobody waits at a pipe.
fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is neither a file nor a folder"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hash_of_files(source: &CrateSource) -> String {
    let parts = source
        .files()
        .iter()
        .flat_map(|(path, text)| [path.as_os_str().as_encoded_bytes(), text.as_bytes()]);
    hash::of_parts(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | sha256sum`
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_hash_of_a_file_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["x.rs", "x.wasm"] {
            let path = folder.path().join(name);
            fs::write(&path, "abc").expect("written");
            assert_eq!(Submission::read(&path).expect("read").sha256(), Some(ABC));
        }
        assert_eq!(Submission::one_file("abc").sha256(), Some(ABC));
    }

    #[test]
    fn what_is_too_large_has_no_hash_and_what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.rs");
        let file = File::create(&path).expect("made");
        file.set_len(1 << 40).expect("sparse");
        assert_eq!(Submission::read(&path).expect("read").sha256(), None);
        let pipe = folder.path().join("pipe.rs");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo").success());
        assert!(Submission::read(&pipe).is_err());
    }

    #[test]
    fn the_hash_of_a_crate_is_that_of_what_the_compiler_sees() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hash = || {
            let read = Submission::read(folder.path()).expect("read");
            read.sha256().map(str::to_owned)
        };
        fs::create_dir(folder.path().join("src")).expect("made");
        fs::write(folder.path().join("Cargo.toml"), "[package]").expect("written");
        fs::write(folder.path().join("src/lib.rs"), "").expect("written");
        let before = hash();
        fs::write(folder.path().join("README.md"), "not seen").expect("written");
        assert_eq!(hash(), before);
        fs::write(folder.path().join("src/lib.rs"), "mod loss;").expect("written");
        assert_ne!(hash(), before);
        fs::write(folder.path().join("build.rs"), "").expect("written");
        assert_eq!(hash(), None, "refused before it is read");
    }
}
