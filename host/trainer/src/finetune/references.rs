//! The reference's log-probs of every row that a run trains on or is evaluated on, computed once and kept in a file.
//!
//! A row is 16 bytes: two sums in nats, NaN until they are known. The file begins with what they were computed
//! from, and is begun anew when that is something else. So the reference's weights are gone before
//! training begins, a continued run needs them no more, and a data file may be larger than memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::fault::Fault;
use crate::hash::Key;
use crate::pairs::PairLogps;

/// What sums were computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// The content of model and data.
    pub content: Key,
    /// What chat templates were told of the time, in seconds since 1970.
    pub now_unix_seconds: i64,
}

impl Origin {
    /// What the sums in a file are of, if there are any.
    pub(super) fn of_file(path: &Path) -> Option<Self> {
        Self::read(&mut File::open(path).ok()?)
    }

    fn read(file: &mut File) -> Option<Self> {
        let (mut content, mut now) = (Key::default(), [0; 8]);
        file.read_exact(&mut content).and_then(|()| file.read_exact(&mut now)).ok()?;
        Some(Self { content, now_unix_seconds: i64::from_le_bytes(now) })
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(&self.content)?;
        out.write_all(&self.now_unix_seconds.to_le_bytes())
    }
}

/// Sums of rows in a file.
#[derive(Debug)]
pub(super) struct References {
    path: PathBuf,
    file: File,
    n_rows: usize,
}

const ROW_BYTES: usize = 16;
const ORIGIN_BYTES: usize = size_of::<Key>() + size_of::<i64>();

impl References {
    /// Opens the file, or begins a new one where it is of something else.
    pub(super) fn open(path: &Path, origin: &Origin, n_rows: usize) -> Result<Self, Fault> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|source| Fault::file("create", path, source))?;
        let mut references = Self { path: path.to_path_buf(), file, n_rows };
        if !references.is_of(origin) {
            references.begin(origin).map_err(|source| Fault::file("write", path, source))?;
        }
        Ok(references)
    }

    /// The rows whose sums are known.
    pub(super) fn known(&mut self) -> Result<Vec<bool>, Fault> {
        let mut sums = vec![0; self.n_rows * ROW_BYTES];
        self.at(0).and_then(|()| self.file.read_exact(&mut sums)).map_err(self.cannot("read"))?;
        Ok(sums.chunks_exact(ROW_BYTES).map(|row| !logps(row).chosen.is_nan()).collect())
    }

    pub(super) fn get(&mut self, row: usize) -> Result<PairLogps, Fault> {
        let mut bytes = [0; ROW_BYTES];
        self.at(row)
            .and_then(|()| self.file.read_exact(&mut bytes))
            .map_err(self.cannot("read"))?;
        Ok(logps(&bytes))
    }

    pub(super) fn set(&mut self, row: usize, logps: PairLogps) -> Result<(), Fault> {
        let bytes = [logps.chosen, logps.rejected].map(f64::to_le_bytes).concat();
        self.at(row).and_then(|()| self.file.write_all(&bytes)).map_err(self.cannot("write"))
    }

    fn is_of(&mut self, origin: &Origin) -> bool {
        let length = (ORIGIN_BYTES + self.n_rows * ROW_BYTES) as u64;
        let same_length = self.file.metadata().is_ok_and(|metadata| metadata.len() == length);
        same_length && Origin::read(&mut self.file).as_ref() == Some(origin)
    }

    fn begin(&mut self, origin: &Origin) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        let mut out = std::io::BufWriter::new(&self.file);
        origin.write(&mut out)?;
        (0..2 * self.n_rows).try_for_each(|_| out.write_all(&f64::NAN.to_le_bytes()))?;
        out.flush()
    }

    fn at(&mut self, row: usize) -> std::io::Result<()> {
        let start = ORIGIN_BYTES + row * ROW_BYTES;
        self.file.seek(SeekFrom::Start(start as u64)).map(|_| ())
    }

    fn cannot(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> Fault {
        let path = self.path.clone();
        move |source| Fault::file(action, &path, source)
    }
}

fn logps(row: &[u8]) -> PairLogps {
    let (numbers, _) = row.as_chunks();
    let [chosen, rejected] = [numbers[0], numbers[1]].map(f64::from_le_bytes);
    PairLogps { chosen, rejected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::key;

    #[test]
    fn sums_stay_until_they_are_of_something_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sums");
        let [first, second] = [key([&b"a"[..], b"b"]), key([&b"ab"[..]])]
            .map(|content| Origin { content, now_unix_seconds: 7 });
        assert_ne!(first, second);
        assert_eq!(Origin::of_file(&path), None);
        let sums = PairLogps { chosen: -1.5, rejected: -2.5 };
        References::open(&path, &first, 3).and_then(|mut file| file.set(1, sums)).expect("set");
        let mut again = References::open(&path, &first, 3).expect("opened");
        assert_eq!(again.known().expect("read"), [false, true, false]);
        assert_eq!(again.get(1).expect("read"), sums);
        assert_eq!(Origin::of_file(&path), Some(first));
        let later = Origin { now_unix_seconds: 8, ..first };
        let mut other = References::open(&path, &later, 3).expect("opened");
        assert_eq!(other.known().expect("read"), [false; 3]);
        let mut other = References::open(&path, &second, 3).expect("opened");
        assert_eq!(other.known().expect("read"), [false; 3]);
    }
}
