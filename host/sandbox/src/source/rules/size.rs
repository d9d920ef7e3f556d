//! `source/size`

use super::{PLAIN_LOSS, SourceRule, page};
use crate::Span;
use crate::limits::SOURCE_BYTES_MAX;
use crate::rules::{Example, Rule};
use crate::source::Offence;

pub(in crate::source) const RULE: SourceRule<str> = SourceRule {
    page: Rule {
        rejected: Example::LongSource {
            shown: "a loss with 70,000 bytes of comments",
            text: || format!("{PLAIN_LOSS}// {}\n", "x".repeat(70_000)),
        },
        ..page(
            "source/size",
            "files of more than 64 KiB",
            "what reads the file takes time and memory that grow with it",
            "a loss is a formula: a few kilobytes are plenty",
            "",
        )
    },
    find: |text| {
        let message = format!(
            "the file has {} bytes, expected at most {SOURCE_BYTES_MAX}",
            text.len()
        );
        (text.len() > SOURCE_BYTES_MAX)
            .then(|| Offence::in_text(Span { line: 1, column: 1 }, message))
    },
};
