//! Small damage to something well formed: what a parser that only ever saw good or random input has never met.

use arbitrary::{Result, Unstructured};

/// Bytes beyond which an input is cut: larger ones only repeat what smaller ones show.
pub(crate) const BYTES_MAX: usize = 256 << 10;

/// A few edits of `bytes`: cut, doubled, replaced, or a piece put in.
pub(crate) fn damaged(
    u: &mut Unstructured<'_>,
    mut bytes: Vec<u8>,
    pieces: &[&[u8]],
) -> Result<Vec<u8>> {
    for _ in 0..u.int_in_range(0..=6)? {
        let at = u.int_in_range(0..=bytes.len())?;
        let end = (at + u.int_in_range(0..=24_usize)?).min(bytes.len());
        match u.int_in_range(0..=5)? {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let again = bytes[at..end].to_vec();
                let times = u.int_in_range(1..=64)?;
                bytes.splice(at..at, again.repeat(times));
            }
            2 if at < end => bytes[at] = u.arbitrary()?,
            3 if at < end => bytes[at] ^= 1 << u.int_in_range(0..=7)?,
            4 => drop(bytes.splice(at..end, u.choose(pieces)?.iter().copied())),
            _ => drop(bytes.splice(at..at, u.choose(pieces)?.iter().copied())),
        }
    }
    bytes.truncate(BYTES_MAX);
    Ok(bytes)
}

/// Text without halves of characters.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
