//! `source/size`

use super::{PLAIN_LOSS, SourceRule};
use crate::limits::SOURCE_BYTES_MAX;
use crate::rules::{Example, Rule};
use crate::source::Offence;
use crate::{Span, Stage};

pub(in crate::source) const RULE: SourceRule<str> = SourceRule {
    page: Rule {
        name: "source/size",
        stage: Stage::Source,
        what: "files of more than 64 KiB",
        why: "what reads the file takes time and memory that grow with it",
        hint: "a loss is a formula: a few kilobytes are plenty",
        rejected: Example::LongSource {
            shown: "a loss with 70,000 bytes of comments",
            text: || format!("{PLAIN_LOSS}// {}\n", "x".repeat(70_000)),
        },
        accepted: Example::PLAIN,
    },
    find: |text| {
        let message =
            format!("the file has {} bytes, expected at most {SOURCE_BYTES_MAX}", text.len());
        (text.len() > SOURCE_BYTES_MAX)
            .then(|| Offence::in_text(Span { line: 1, column: 1 }, message))
    },
};
