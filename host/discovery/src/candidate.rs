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

    /// The identity of what this source computes, whatever its declaration calls it: without name, summary and citation.
    pub(crate) fn of_nameless(source: &str) -> Self {
        CandidateId(hex(&Sha256::digest(nameless(normalised(source)))[..8]))
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

impl Candidate {
    /// Of candidates with equal fitness the lower one leads: a baseline, then the lower identity.
    pub(crate) fn rank_of_equals(&self) -> (bool, &CandidateId) {
        (self.origin != crate::baselines::ORIGIN, &self.id)
    }
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
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
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

/// The declaration without the texts that name it.
fn nameless(mut text: String) -> String {
    let Some(mut begin) = text.find("_loss!") else {
        return text;
    };
    // The entries come in this order; a citation may be missing, and other texts are left alone.
    for entry in ["name: \"", "summary: \"", "citation: \""] {
        let Some(at) = text[begin..].find(entry) else {
            continue;
        };
        let at = begin + at;
        let quoted = &text[at + entry.len()..];
        let Some(end) = end_of_quoted(quoted) else {
            return text;
        };
        let after = &quoted[end..];
        let rest = after.len() - after.trim_start_matches([',', ' ', '\n']).len();
        let length = entry.len() + end + rest;
        text.replace_range(at..at + length, "");
        begin = at;
    }
    text
}

/// Where a string literal ends, its closing quote included; the text begins behind the opening one.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            '"' if !escaped => return Some(index + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
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
        assert_eq!(id, CandidateId::of("fn  f() -> f64 {\r\n\n// why\n\t1.0  \n}"));
        assert_ne!(id, CandidateId::of("fn f() -> f64 {\n    1.1\n}\n"));
        assert_ne!(id, CandidateId::of("fn f() -> f64 {\n    1 .0\n}\n"));
    }

    #[test]
    fn a_new_name_does_not_make_another_loss() {
        let source = |head: &str, beta: &str| {
            format!(
                "use guest_sdk::prelude::*;\n\npair_loss! {{\n{head}    hyperparameters: {{ beta: {beta} in 0.0..=1.0 }},\n}}\n"
            )
        };
        let of = |head: &str, beta: &str| CandidateId::of_nameless(&source(head, beta));
        let plain = of("name: \"a\",\n summary: \"b\",\n", "0.1");
        assert_eq!(plain, of("name: \"c\", summary: \"d \\\" e\",\ncitation: \"f\",\n", "0.1"));
        assert_ne!(plain, of("name: \"a\",\n summary: \"b\",\n", "0.2"));
        // Texts outside the declaration are code.
        let helper = "fn f() { g(\"x\") }\n";
        assert_ne!(
            CandidateId::of_nameless(helper),
            CandidateId::of_nameless("fn f() { g(\"y\") }\n")
        );
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
