//! What became of the rows that were read.

use serde::{Deserialize, Serialize};

use super::file::Outcome;

/// Messages of bad rows that are kept.
const MESSAGES_MAX: usize = 5;

/// Counts of rows. What is counted twice, such as a row in two epochs, is in it twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows that were read.
    pub rows: u64,
    /// Rows that gave a pair.
    pub pairs: u64,
    /// Pairs that the length limit cut.
    pub truncated: u64,
    /// Pairs whose prompt lost tokens to the completions, because it is tokenised otherwise when one follows.
    pub prompts_shortened: u64,
    /// Rows that were left out because their prompt fills the length limit.
    pub dropped: u64,
    /// Rows that were left out because they are bad.
    pub bad: u64,
    /// What is wrong with the first bad rows.
    pub first_messages: Vec<String>,
}

impl Tally {
    /// Counts a row.
    pub fn count(&mut self, outcome: &Outcome) {
        self.rows += 1;
        match outcome {
            Outcome::Pair(encoded) => {
                self.pairs += 1;
                self.truncated += u64::from(encoded.truncated);
                self.prompts_shortened += u64::from(encoded.prompt_shortened);
            }
            Outcome::Dropped => self.dropped += 1,
            Outcome::Bad(row) => {
                self.bad += 1;
                if self.first_messages.len() < MESSAGES_MAX {
                    self.first_messages.push(row.to_string());
                }
            }
        }
    }
}
