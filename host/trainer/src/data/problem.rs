//! What is wrong with a row, and where the row is.

use std::fmt;
use std::path::PathBuf;

/// A row that cannot be trained on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {place}: {field}: {message}\nhint: {hint}", path = path.display())]
pub struct BadRow {
    /// The data file.
    pub path: PathBuf,
    /// Where in the file.
    pub place: Place,
    /// Which column; `row` if the row as a whole is at fault.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
    /// What would help.
    pub hint: &'static str,
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The line of a text file, counted from 1.
    Line(u64),
    /// The row of a table, counted from 0 as pandas counts them.
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Line(line) => write!(formatter, "line {line}"),
            Self::Row(row) => write!(formatter, "row {row}"),
        }
    }
}

/// What is wrong, before it is known where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) field: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

impl Problem {
    pub(super) fn new(field: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        Self { field, message: message.into(), hint }
    }
}
