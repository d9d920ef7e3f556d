//! SHA-256 of one text and of several, as text.
//!
//! Of several, each goes in with its length before it, so that no two lists look alike.

use sha2::{Digest, Sha256};

/// Of one text, as `sha256sum` prints it.
pub(crate) fn of(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// Of all parts together.
pub(crate) fn of_parts(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        add(&mut hasher, part.as_ref());
    }
    hex(&hasher.finalize())
}

/// The length as 64 bits, little-endian, and the bytes.
pub(crate) fn add(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_le_bytes());
    hasher.update(part);
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '\x02\0\0\0\0\0\0\0ab\x01\0\0\0\0\0\0\0c' | sha256sum`
    #[test]
    fn parts_are_hashed_with_their_lengths() {
        assert_eq!(of_parts(["ab", "c"]), EXPECTED);
        assert_ne!(of_parts(["a", "bc"]), EXPECTED);
    }

    const EXPECTED: &str = "43ee655579de01ca739b3f95c1c2d3f46d353b2c0df818064ea594506cdb2617";
}
