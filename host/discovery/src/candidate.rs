//! A candidate: a loss that somebody proposed, and what became of it.
//!
//! A candidate is known by its source. Two sources that differ only in layout or comment lines are the same candidate;
//! two that differ in a constant are not. Where a candidate comes from is the work of `proposer` and `baselines`.

use std::fmt;

use sandbox::Rejection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trainer::Fitness;

/// The first 64 bits of SHA-256 over the normalised source, as 16 hexadecimal digits.
///
/// Normalised means: one space for each run of blanks, without indentation, blank lines and lines that are all comment
/// (`//`, `///`, `//!`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CandidateId(String);

impl CandidateId {
    /// The identity of this source.
    pub fn of(source: &str) -> Self {
        CandidateId(hex(&Sha256::digest(normalised(source))[..8]))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_digits(digits: String) -> Self {
        CandidateId(digits)
    }
}

impl fmt::Display for CandidateId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A proposed loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Identity of the source.
    pub id: CandidateId,
    /// What its author calls it: lower-case letters, digits and underscores.
    pub name: String,
    /// Who proposed it: `baseline`, or the name of a proposer.
    pub origin: String,
    /// Why its author expects it to work, in one or two sentences.
    pub thought: String,
    /// The one-file plugin.
    pub source: String,
    /// Candidates that it was made from.
    pub parents: Vec<CandidateId>,
    /// What its proposer needs to go on from it, if that is more than the source.
    pub genotype: Option<serde_json::Value>,
}

/// What became of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was trained with every seed.
    Scored(Fitness),
    /// A gate turned it away.
    Rejected(Rejection),
}

impl Outcome {
    /// The fitness, if it came that far.
    pub fn fitness(&self) -> Option<&Fitness> {
        match self {
            Outcome::Scored(fitness) => Some(fitness),
            Outcome::Rejected(_) => None,
        }
    }
}

/// For telling candidates apart and not for compiling.
fn normalised(source: &str) -> String {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut text = String::with_capacity(source.len());
    for line in code {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        text.push_str(first);
        for word in words {
            text.push(' ');
            text.push_str(word);
        }
        text.push('\n');
    }
    text
}

/// A name made from what an author wrote: at most 48 lower-case letters, digits and underscores, a letter first.
pub(crate) fn plain_name(text: &str) -> Option<String> {
    let mut name = String::new();
    for character in text.trim().chars() {
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let from_a_letter = name.trim_start_matches(|character: char| !character.is_ascii_lowercase());
    let short = &from_a_letter[..from_a_letter.len().min(48)];
    let name = short.trim_end_matches('_');
    (!name.is_empty()).then(|| name.to_owned())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_and_comments_do_not_make_another_candidate() {
        let id = CandidateId::of("//! A.\nfn f() -> f64 {\n    1.0\n}\n");
        assert_eq!(
            id,
            CandidateId::of("fn  f() -> f64 {\r\n\n// why\n\t1.0  \n}")
        );
        assert_ne!(id, CandidateId::of("fn f() -> f64 {\n    1.1\n}\n"));
        assert_ne!(id, CandidateId::of("fn f() -> f64 {\n    1 .0\n}\n"));
    }

    /// Computed with `printf 'a b\n' | sha256sum`.
    #[test]
    fn an_identity_is_the_first_64_bits_of_sha_256() {
        assert_eq!(CandidateId::of("  a   b").as_str(), "01186fcf04b4b447");
    }

    #[test]
    fn a_name_is_fit_for_a_file_and_for_rust() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(plain_name(text).as_deref(), expected);
        };
        check("Focal Logistic (v2)", Some("focal_logistic_v2"));
        check("../../etc/passwd", Some("etc_passwd"));
        check("2nd try", Some("nd_try"));
        check("§ 7", None);
        assert_eq!(plain_name(&"a".repeat(99)).map(|name| name.len()), Some(48));
    }
}
