//! Preference data as TRL takes it: a file of rows, each a prompt with a better and a worse completion.
//!
//! ```text
//! JSONL ───────────────────┐
//! Parquet ─ spool (rows) ──┴▶ lines ─ row ─▶ encoding (tokenizer, chat template, length limit) ─▶ pair
//!                              ▲
//!                    order (seeded, with a position)
//! ```
//!
//! A row holds plain texts, conversations or token ids (`row`); [`Encoding`] makes tokens of it exactly as TRL
//! 1.16's `DPOTrainer` does; [`PreferenceFile`] gives out any row at any time and never holds more than one.
//! Not here: log-probs (`pairs`) and what is learnt from them (`step`).

mod encoding;
mod file;
mod lines;
mod order;
mod parquet;
mod problem;
mod row;
mod tally;

pub use encoding::{EncodedPair, Encoding, Length, Truncation};
pub(crate) use file::refuse_several_files;
pub use file::{BadRows, Outcome, PreferenceFile, Walk};
pub(crate) use order::Rows;
pub use order::{Order, Position};
pub use problem::{BadRow, Place};
pub use row::Kind;
pub use tally::Tally;

/// Longest row in bytes. A longer one is a bad row, so that a file without line ends is not read into memory.
pub const ROW_BYTES_MAX: u64 = 64 << 20;
