//! The lines of a text file, any at any time, by an index of where they begin.
//!
//! The index takes 8 bytes a line and one pass over the file, which reads blocks and looks for line ends only.
//! Blank lines have no entry; a run of them takes 16 bytes, for the numbers of the lines after it. Not here:
//! what a line means (`row`).

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

/// Bytes that are read at a time while the index is made.
const BLOCK_BYTES: usize = 1 << 20;

/// A file with an index of its lines that are not blank.
#[derive(Debug)]
pub(super) struct Lines {
    file: Mutex<File>,
    /// Where each line begins; after the last comes the end of the file.
    starts: Vec<u64>,
    /// For each line that follows a blank one: its index, and how many blank lines lie before it in all.
    after_blank: Vec<(usize, u64)>,
}

/// Why a line was not read.
#[derive(Debug)]
pub(super) enum LineError {
    /// It has more bytes than allowed.
    TooLong(u64),
    /// The system refused.
    File(std::io::Error),
}

impl Lines {
    /// Indexes a file. A byte-order mark at its beginning belongs to no line.
    pub(super) fn index(mut file: File) -> std::io::Result<Self> {
        file.rewind()?;
        let mut reader = BufReader::with_capacity(BLOCK_BYTES, &file);
        let mut starts = Vec::new();
        let (mut after_blank, mut n_blank) = (Vec::<(usize, u64)>::new(), 0);
        let mut offset = skip_byte_order_mark(&mut reader)?;
        let (mut line_start, mut is_blank) = (offset, true);
        loop {
            let block = reader.fill_buf()?;
            if block.is_empty() {
                break;
            }
            for piece in block.split_inclusive(|&byte| byte == b'\n') {
                if is_blank && piece.iter().any(|byte| !byte.is_ascii_whitespace()) {
                    is_blank = false;
                    if after_blank.last().map_or(0, |&(_, before)| before) < n_blank {
                        after_blank.push((starts.len(), n_blank));
                    }
                    starts.push(line_start);
                }
                offset += piece.len() as u64;
                if piece.ends_with(b"\n") {
                    n_blank += u64::from(is_blank);
                    (line_start, is_blank) = (offset, true);
                }
            }
            let n_read = block.len();
            reader.consume(n_read);
        }
        starts.push(offset);
        starts.shrink_to_fit();
        Ok(Self { file: Mutex::new(file), starts, after_blank })
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// A line without its end.
    pub(super) fn read(&self, index: usize, bytes_max: u64) -> Result<Vec<u8>, LineError> {
        let (start, end) = (self.starts[index], self.starts[index + 1]);
        // Blank lines may lie between two starts, but no more than a line's worth of bytes is read.
        let n_bytes = (end - start).min(bytes_max + 1);
        let mut line = Vec::with_capacity(n_bytes as usize);
        {
            // Whoever panicked here left no more than another place in the file behind.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(start)).map_err(LineError::File)?;
            (&mut *file).take(n_bytes).read_to_end(&mut line).map_err(LineError::File)?;
        }
        if let Some(line_end) = line.iter().position(|&byte| byte == b'\n') {
            line.truncate(line_end);
        } else if line.len() as u64 > bytes_max {
            return Err(LineError::TooLong(end - start));
        } else if (line.len() as u64) < n_bytes {
            let message = "the file has become shorter since it was indexed";
            return Err(LineError::File(std::io::Error::other(message)));
        }
        Ok(line)
    }

    /// The number of a line, counted from 1 with the blank ones.
    pub(super) fn number(&self, index: usize) -> u64 {
        let n_runs = self.after_blank.partition_point(|&(line, _)| line <= index);
        let n_blank = n_runs.checked_sub(1).map_or(0, |last| self.after_blank[last].1);
        index as u64 + 1 + n_blank
    }
}

fn skip_byte_order_mark(reader: &mut BufReader<&File>) -> std::io::Result<u64> {
    let mark = b"\xef\xbb\xbf";
    let n_bytes = if reader.fill_buf()?.starts_with(mark) { mark.len() } else { 0 };
    reader.consume(n_bytes);
    Ok(n_bytes as u64)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(content: &[u8]) -> Lines {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Lines::index(file).unwrap()
    }

    #[test]
    fn lines_are_found_with_every_end_and_blank_ones_are_passed_over() {
        let lines = lines(b"\xef\xbb\xbfone\r\n\n  \t\r\ntwo\n\n\nthree");
        let read = |index| String::from_utf8(lines.read(index, 100).unwrap()).unwrap();
        assert_eq!(lines.len(), 3);
        assert_eq!([read(2), read(0), read(1)], ["three", "one\r", "two"]);
        assert_eq!((0..3).map(|index| lines.number(index)).collect::<Vec<_>>(), [1, 4, 7]);
    }

    #[test]
    fn a_file_of_nothing_has_no_lines() {
        assert_eq!(lines(b"").len(), 0);
        assert_eq!(lines(b"\n \r\n").len(), 0);
        assert_eq!(lines(b"\xef\xbb\xbf").len(), 0);
    }

    #[test]
    fn a_line_longer_than_allowed_is_not_read() {
        let lines = lines(b"12345\n1234\n");
        assert!(matches!(lines.read(0, 4), Err(LineError::TooLong(_))));
        assert_eq!(lines.read(1, 4).unwrap(), b"1234");
    }

    #[test]
    fn lines_longer_than_a_block_are_whole() {
        let long = vec![b'x'; 3 * BLOCK_BYTES + 5];
        let lines = lines(&[&*long, b"\nshort\n", &*long].concat());
        assert_eq!(lines.len(), 3);
        assert_eq!(lines.read(0, u64::MAX - 1).unwrap(), long);
        assert_eq!(lines.read(1, 100).unwrap(), b"short");
        assert_eq!(lines.read(2, u64::MAX - 1).unwrap(), long);
    }
}
