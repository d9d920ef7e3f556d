//! Whether a compiler had room to write in: a full disk is no candidate's fault.
//!
//! The file system is asked, and never the compiler's words, which a candidate can put into its mouth. Not seen: a quota
//! of the user's that is used up on a file system with room, and room that came back before it was asked.

use std::path::Path;

use crate::Fault;

/// Less than this is next to nothing: what a usual candidate's compiler has in its folder at once.
const ROOM_BYTES: u64 = 4 << 20;

/// # Errors
/// When the file system that `folder` lies on has no room for a compiler.
pub(super) fn check(folder: &Path) -> Result<(), Fault> {
    match rustix::fs::statvfs(folder) {
        // Who cannot say how large it is cannot say how full it is. What the candidate itself has written is its own doing.
        Ok(found) if found.f_blocks > 0 => {
            let left = found.f_bavail.saturating_mul(found.f_frsize);
            enough(folder, left.saturating_add(written(folder)))
        }
        _ => Ok(()),
    }
}

/// Bytes of all files in a folder and below, as deep as a path can name.
fn written(folder: &Path) -> u64 {
    let (mut folders, mut bytes) = (vec![folder.to_owned()], 0_u64);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => bytes = bytes.saturating_add(found.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}

fn enough(folder: &Path, left: u64) -> Result<(), Fault> {
    match left < ROOM_BYTES {
        true => Err(Fault::DiskFull { folder: folder.parent().unwrap_or(folder).to_owned(), left }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_what_is_left_and_where_to_go() {
        let folder = Path::new("/scratch/lossbox-candidate");
        let fault = enough(folder, ROOM_BYTES - 1).expect_err("full").to_string();
        for part in ["/scratch ", "4194303 bytes", "TMPDIR"] {
            assert!(fault.contains(part), "{fault}");
        }
        assert!(enough(folder, ROOM_BYTES).is_ok());
    }

    #[test]
    fn what_lies_deep_below_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = (0..300).fold(folder.path().to_owned(), |path, _| path.join("d"));
        std::fs::create_dir_all(&deep).expect("made");
        std::fs::write(deep.join("f"), [0; 1000]).expect("written");
        std::fs::write(folder.path().join("f"), [0; 24]).expect("written");
        assert_eq!(written(folder.path()), 1024);
    }

    #[test]
    fn a_disk_with_room_and_one_that_cannot_be_asked_are_no_faults() {
        assert!(check(&std::env::temp_dir()).is_ok());
        assert!(check(Path::new("/no/such/folder")).is_ok());
    }
}
