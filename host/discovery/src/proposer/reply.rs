//! From the text that somebody replied to a proposal: a JSON object with `thought`, `name` and `code`.
//!
//! The LLM and recorded replies are read here. A reply that cannot be read is rejected in words that say what was
//! expected, so that its author can do better.

use sandbox::{Rejection, Stage};
use serde::Deserialize;

use super::Reply;
use crate::candidate::{Candidate, CandidateId, plain_name};

/// How much of a reply that cannot be read is quoted in its rejection, in characters.
const QUOTED_MAX: usize = 300;
/// Longest reply that is looked at.
const REPLY_BYTES_MAX: usize = 256 * 1024;

#[derive(Deserialize)]
struct Fields {
    thought: String,
    name: String,
    code: String,
}

/// The rule that a reply breaks which cannot be read: its name, and what it forbids.
pub(crate) const RULE: (&str, &str) = (
    "source/reply",
    "replies to a proposer's question that are not the JSON object that was asked for",
);

/// Reads the reply to question `n`.
pub(super) fn read(origin: &str, n: usize, text: &str) -> Reply {
    match fields(text) {
        Ok(fields) => Reply::Proposal(candidate(origin, n, fields)),
        Err(message) => {
            let message = format!("the reply is not the JSON object that was asked for: {message}");
            failed(origin, n, text, &message)
        }
    }
}

/// The three texts, or what is wrong.
pub(super) fn check(text: &str) -> Result<(), String> {
    fields(text).map(|_| ())
}

fn fields(text: &str) -> Result<Fields, String> {
    if text.len() > REPLY_BYTES_MAX {
        return Err(format!(
            "the reply has {} bytes, expected at most {REPLY_BYTES_MAX}",
            text.len()
        ));
    }
    let mut fields: Fields = serde_json::from_str(without_fence(text).unwrap_or(text))
        .map_err(|error| error.to_string())?;
    if let Some(code) = without_fence(&fields.code) {
        fields.code = code.to_owned();
    }
    match fields.code.trim() {
        "" => Err("`code` is empty".to_owned()),
        _ => Ok(fields),
    }
}

/// What is between two lines of three backticks, the first perhaps with a language: models like to put JSON and code
/// there, whatever they were told. `None` where there is no such pair of lines around the text.
fn without_fence(text: &str) -> Option<&str> {
    let fenced = text.trim().strip_prefix("```")?.strip_suffix("```")?;
    let content = fenced.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    Some(content.trim())
}

fn candidate(origin: &str, n: usize, fields: Fields) -> Candidate {
    Candidate {
        id: CandidateId::of(&fields.code),
        name: plain_name(&fields.name).unwrap_or_else(|| nameless(origin, n)),
        origin: origin.to_owned(),
        thought: fields.thought.trim().to_owned(),
        source: fields.code,
        parents: Vec::new(),
        genotype: None,
    }
}

/// The reply to question `n` that holds no loss, for the reason in `message`.
pub(super) fn failed(origin: &str, n: usize, text: &str, message: &str) -> Reply {
    let name = nameless(origin, n);
    Reply::Malformed {
        candidate: Candidate {
            id: CandidateId::of(&format!("no source: {name}")),
            name,
            origin: origin.to_owned(),
            thought: String::new(),
            source: String::new(),
            parents: Vec::new(),
            genotype: None,
        },
        text: text.chars().take(REPLY_BYTES_MAX).collect(),
        rejection: Rejection::new(
            Stage::Source,
            RULE.0,
            format!("{message}; {}", quoted(text)),
            "reply with one JSON object that has the texts `thought`, `name` and `code`, and nothing else",
        ),
    }
}

/// The beginning of a reply on one line, so that its author knows it again.
fn quoted(text: &str) -> String {
    let text = text.trim();
    let begin: String = text.chars().take(QUOTED_MAX).collect();
    match begin.len() {
        0 => "it was empty".to_owned(),
        length if length == text.len() => format!("it was {begin:?}"),
        _ => format!("it began with {begin:?}"),
    }
}

fn nameless(origin: &str, n: usize) -> String {
    format!("{origin}_reply_{n}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_becomes_a_candidate() {
        let text = r#"{"thought": " Why not. ", "name": "My Loss!", "code": "fn loss() {}"}"#;
        for text in [text.to_owned(), format!("```json\n{text}\n```")] {
            let Reply::Proposal(candidate) = read("llm", 3, &text) else { panic!("{text}") };
            assert_eq!(
                (candidate.name.as_str(), candidate.thought.as_str()),
                ("my_loss", "Why not.")
            );
            assert_eq!(candidate.id, CandidateId::of("fn loss() {}"));
        }
    }

    /// Neither the identity nor the audit of a loss depends on how a model likes to quote it.
    #[test]
    fn fenced_code_is_the_code_in_the_fence() {
        for code in ["fn loss() {}", "```rust\nfn loss() {}\n```\n", "```\nfn loss() {}\n```"] {
            let text = serde_json::json!({"thought": "", "name": "a", "code": code}).to_string();
            let Reply::Proposal(candidate) = read("llm", 3, &text) else { panic!("{text}") };
            assert_eq!(candidate.source, "fn loss() {}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_rejected_with_what_is_missing() {
        for (text, expected) in [
            ("I would try a hinge.", "expected value"),
            (r#"{"thought": "", "name": "a"}"#, "missing field `code`"),
            (r#"{"thought": "", "name": "a", "code": 7}"#, "expected a string"),
            (r#"{"thought": "", "name": "a", "code": " "}"#, "`code` is empty"),
            (r#"{"thought": "", "name": "a", "code": "```rust\n```"}"#, "`code` is empty"),
        ] {
            let Reply::Malformed { candidate, rejection, .. } = read("llm", 3, text) else {
                panic!("{text}")
            };
            assert_eq!((rejection.stage, rejection.rule.as_str()), (Stage::Source, "source/reply"));
            assert!(rejection.message.contains(expected), "{}", rejection.message);
            let begin: String = text.chars().take(12).collect();
            let begin = format!("{begin:?}");
            assert!(rejection.message.contains(begin.trim_end_matches('"')));
            assert_eq!(candidate.name, "llm_reply_3");
        }
    }
}
