//! A preference file: any row at any time, in file order or shuffled, each made into tokens when it is asked for.
//!
//! Opening indexes the lines (and writes a table out, see `parquet`) and looks at rows until one is good. What
//! is in memory from then on is 8 bytes a row, 8 more during a shuffled walk, and the row that is being read: a
//! file of 1 GB and 1.2 million rows opens in 0.6 s and is walked with 28 MB. Tokens are made anew each time: on
//! one core some 800,000 of them a second, far more than a model learns from on that core.

use std::fs::File;
use std::io::{Read, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ROW_BYTES_MAX;
use super::encoding::{EncodedPair, Encoding};
use super::lines::{LineError, Lines};
use super::order::{Order, Position, Rows};
use super::parquet::{self, SpoolError};
use super::problem::{BadRow, Place, Problem};
use super::row::{COLUMNS, Kind, Row};
use super::tally::Tally;
use crate::fault::Fault;

/// What happens when a row is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRows {
    /// It is a fault.
    Stop,
    /// It is counted and left out.
    Skip,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A pair to train on.
    Pair(EncodedPair),
    /// Its prompt fills the length limit.
    Dropped,
    /// It is bad, and bad rows are skipped.
    Bad(BadRow),
}

/// Preference data in a JSONL or Parquet file.
#[derive(Debug)]
pub struct PreferenceFile {
    path: PathBuf,
    is_table: bool,
    lines: Lines,
    kind: Kind,
    ignored_columns: Vec<String>,
    encoding: Encoding,
    bad_rows: BadRows,
}

/// Rows of a survey that are counted between two looks at the progress.
const SURVEY_BLOCK_ROWS: usize = 4096;

const HINT_ROWS: &str = "give a JSONL file with one JSON object per line, or a Parquet file";

impl PreferenceFile {
    /// Opens a file. Whether it is JSONL or Parquet is seen from its first bytes.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, holds nothing or something else, or, unless bad rows are skipped, whose first
    /// row is bad.
    pub fn open(path: &Path, encoding: Encoding, bad_rows: BadRows) -> Result<Self, Fault> {
        refuse_several_files(path)?;
        let cannot_read = |source| Fault::file("read", path, source);
        let mut file = File::open(path).map_err(cannot_read)?;
        let mut head = Vec::new();
        (&mut file).take(4096).read_to_end(&mut head).map_err(cannot_read)?;
        file.rewind().map_err(cannot_read)?;
        let is_table = head.starts_with(parquet::MAGIC);
        let (lines, mut ignored_columns) = if is_table {
            let spooled =
                parquet::spool(file, &COLUMNS).map_err(|error| spool_fault(path, error))?;
            (spooled.lines, spooled.ignored)
        } else {
            refuse_what_is_no_jsonl(path, &head)?;
            (file, Vec::new())
        };
        let lines = Lines::index(lines).map_err(cannot_read)?;
        if lines.len() == 0 {
            return Err(Fault::data(path, "there is no row in it", HINT_ROWS));
        }
        let opened = Self {
            path: path.to_path_buf(),
            is_table,
            lines,
            kind: Kind::Text,
            ignored_columns: Vec::new(),
            encoding,
            bad_rows,
        };
        let (first, kind) = opened.first_good_row()?;
        if !is_table {
            ignored_columns = Row::ignored_columns(&first);
        }
        Ok(Self { kind, ignored_columns, ..opened })
    }

    /// Number of rows, those included that will give no pair.
    pub fn n_rows(&self) -> usize {
        self.lines.len()
    }

    /// What the rows hold.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The columns that are ignored, as far as the first row or the table's head shows them.
    pub fn ignored_columns(&self) -> &[String] {
        &self.ignored_columns
    }

    /// What becomes of a row, counted from 0 without blank lines. May be called from many threads at once.
    ///
    /// # Errors
    ///
    /// A bad row, unless they are skipped; a file that cannot be read any more.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Result<Outcome, Fault> {
        let problem = match self.read(row)? {
            Ok(line) => match Row::parse(&line).and_then(|parsed| self.encode(&parsed)) {
                Ok(Some(encoded)) => return Ok(Outcome::Pair(encoded)),
                Ok(None) => return Ok(Outcome::Dropped),
                Err(problem) => problem,
            },
            Err(problem) => problem,
        };
        match self.bad_rows {
            BadRows::Stop => Err(Fault::Row(Box::new(self.bad_row(row, problem)))),
            BadRows::Skip => Ok(Outcome::Bad(self.bad_row(row, problem))),
        }
    }

    /// Reads every row once, on all threads, and counts what becomes of them. `progress` is told how many rows
    /// are done, and may end it.
    ///
    /// # Errors
    ///
    /// As for [`Self::row`], the first in file order; that it was ended.
    pub fn survey(
        &self,
        mut progress: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Tally, Fault> {
        let mut tally = Tally::default();
        for start in (0..self.n_rows()).step_by(SURVEY_BLOCK_ROWS) {
            let block = start..self.n_rows().min(start + SURVEY_BLOCK_ROWS);
            let end = block.end;
            let outcomes: Vec<_> = block.into_par_iter().map(|row| self.row(row)).collect();
            for outcome in outcomes {
                tally.count(&outcome?);
            }
            if progress(end).is_break() && end < self.n_rows() {
                let message = format!("ended after {end} of {} rows were counted", self.n_rows());
                return Err(Fault::data(&self.path, message, "the same command counts them again"));
            }
        }
        Ok(tally)
    }

    /// Pairs without end, epoch after epoch, from a position on.
    pub fn walk(&self, order: Order, from: Position) -> Walk<'_> {
        Walk {
            file: self,
            rows: Rows::new(order, self.n_rows(), from),
            tally: Tally::default(),
            n_rows_without_pair: 0,
        }
    }

    fn encode(&self, row: &Row) -> Result<Option<EncodedPair>, Problem> {
        if row.kind != self.kind {
            let message = format!("expected {} as in the first row, got {}", self.kind, row.kind);
            let hint = "give all rows of a file the same columns in the same form";
            return Err(Problem::new("row", message, hint));
        }
        self.encoding.encode(row)
    }

    fn read(&self, row: usize) -> Result<Result<Vec<u8>, Problem>, Fault> {
        match self.lines.read(row, ROW_BYTES_MAX) {
            Ok(line) => Ok(Ok(line)),
            Err(LineError::TooLong(n_bytes)) => {
                let message = format!("expected at most {ROW_BYTES_MAX} bytes, got {n_bytes}");
                Ok(Err(Problem::new("row", message, HINT_ROWS)))
            }
            Err(LineError::File(source)) => Err(Fault::file("read", &self.path, source)),
        }
    }

    /// The first row that can be read, and its kind.
    fn first_good_row(&self) -> Result<(Vec<u8>, Kind), Fault> {
        let mut first_bad = None;
        for row in 0..self.n_rows() {
            let parsed = self.read(row)?.and_then(|line| {
                let kind = Row::parse(&line)?.kind;
                Ok((line, kind))
            });
            let problem = match parsed {
                Ok(good) => return Ok(good),
                Err(problem) => problem,
            };
            let bad = self.bad_row(row, problem);
            if self.bad_rows == BadRows::Stop {
                return Err(Fault::Row(Box::new(bad)));
            }
            first_bad.get_or_insert(bad);
        }
        let first = first_bad.map(|bad| bad.to_string()).unwrap_or_default();
        let message = format!("all {} rows are bad; the first: {first}", self.n_rows());
        Err(Fault::data(&self.path, message, HINT_ROWS))
    }

    /// Where a row is, for a person.
    pub(crate) fn place(&self, row: usize) -> String {
        format!("{}: {}", self.path.display(), self.place_in_file(row))
    }

    fn place_in_file(&self, row: usize) -> Place {
        match self.is_table {
            true => Place::Row(row as u64),
            false => Place::Line(self.lines.number(row)),
        }
    }

    fn bad_row(&self, row: usize, problem: Problem) -> BadRow {
        let Problem { field, message, hint } = problem;
        let place = self.place_in_file(row);
        BadRow { path: self.path.clone(), place, field, message, hint }
    }
}

/// Pairs in an order, with a position that can be saved.
#[derive(Debug)]
pub struct Walk<'a> {
    file: &'a PreferenceFile,
    rows: Rows,
    tally: Tally,
    /// Since the last pair.
    n_rows_without_pair: usize,
}

impl Walk<'_> {
    /// Where the walk goes on: a walk from here gives what this one will give.
    pub fn position(&self) -> Position {
        self.rows.position()
    }

    /// The pairs of one step: `n` of them, or those that an epoch has left. None only if a whole epoch gives none.
    ///
    /// # Errors
    ///
    /// As for [`PreferenceFile::row`].
    pub fn batch(&mut self, n: usize) -> Result<Vec<(usize, EncodedPair)>, Fault> {
        let mut pairs = Vec::with_capacity(n.min(self.file.n_rows()));
        let mut epoch = self.rows.position().epoch;
        while pairs.len() < n {
            if self.rows.position().epoch != epoch {
                if !pairs.is_empty() || self.n_rows_without_pair >= self.file.n_rows() {
                    break;
                }
                // What was left of the epoch held bad rows only.
                epoch = self.rows.position().epoch;
            }
            let Some(visited) = self.visit().transpose()? else { break };
            pairs.extend(visited);
        }
        Ok(pairs)
    }

    /// The next row, and its pair if it gives one; none only if there are no rows.
    fn visit(&mut self) -> Option<Result<Option<(usize, EncodedPair)>, Fault>> {
        let row = self.rows.next()?;
        let outcome = match self.file.row(row) {
            Ok(outcome) => outcome,
            Err(fault) => return Some(Err(fault)),
        };
        self.tally.count(&outcome);
        let Outcome::Pair(encoded) = outcome else {
            self.n_rows_without_pair += 1;
            return Some(Ok(None));
        };
        self.n_rows_without_pair = 0;
        Some(Ok(Some((row, encoded))))
    }

    /// The file that is walked through.
    pub(crate) fn file(&self) -> &PreferenceFile {
        self.file
    }

    /// What became of the rows so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Iterator for Walk<'_> {
    /// The row, counted from 0, and its pair. The walk ends only if a whole epoch gives no pair.
    type Item = Result<(usize, EncodedPair), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.n_rows_without_pair < self.file.n_rows() {
            if let Some(found) = self.visit()?.transpose() {
                return Some(found);
            }
        }
        None
    }
}

/// Refuses a folder, and a pattern that no shell has replaced by what it stands for.
pub(crate) fn refuse_several_files(path: &Path) -> Result<(), Fault> {
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[']);
    let message = match path.is_dir() {
        true => "it is a folder",
        false if is_pattern && !path.exists() => {
            "there is no such file, and patterns are not looked up"
        }
        false => return Ok(()),
    };
    let hint = "name one file; JSONL files become one with `cat`";
    Err(Fault::data(path, message, hint))
}

/// Files of other kinds, told by how they begin.
fn refuse_what_is_no_jsonl(path: &Path, head: &[u8]) -> Result<(), Fault> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let (message, hint) = match head {
        [0x1f, 0x8b, ..] => ("it is compressed (gzip)", "decompress it first"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("it is compressed (zstd)", "decompress it first"),
        [b'P', b'K', 3, 4, ..] => ("it is an archive (zip)", "unpack it first"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ("it is UTF-16", "save it as UTF-8"),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => ("it is an Arrow file", HINT_ROWS),
        _ if text.starts_with(b"[") => {
            ("it is one JSON list", "write one JSON object per line, for example with jq -c '.[]'")
        }
        _ => return Ok(()),
    };
    Err(Fault::data(path, message, hint))
}

fn spool_fault(path: &Path, error: SpoolError) -> Fault {
    match error {
        SpoolError::Table(error) => {
            Fault::data(path, format!("the table cannot be read: {error}"), HINT_ROWS)
        }
        SpoolError::Temporary(error) => Fault::data(
            path,
            format!("its rows cannot be written to a temporary file: {error}"),
            "set TMPDIR to a folder with room for the text of the whole table",
        ),
    }
}
