//! The identity of content: SHA-256 of bytes, of parts, of files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::fault::Fault;

/// What something was computed from.
pub(crate) type Key = [u8; 32];

/// The hash of parts, each with its length.
pub(crate) fn key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The hash of a file's content, which need not fit into memory.
pub(crate) fn hash_of_file(path: &Path) -> Result<Key, Fault> {
    let mut hash = Sha256::new();
    let hashed = File::open(path).and_then(|mut file| {
        let mut block = vec![0; 1 << 20];
        loop {
            match file.read(&mut block)? {
                0 => return Ok(()),
                n_bytes => hash.update(&block[..n_bytes]),
            }
        }
    });
    hashed.map_err(|source| Fault::file("read", path, source))?;
    Ok(hash.finalize().into())
}

/// Two digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
