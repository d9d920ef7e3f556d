//! `source/no-macro-definitions`

use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/no-macro-definitions",
        stage: Stage::Source,
        what: "macro_rules! and macros of other kinds",
        why: "what a macro expands to cannot be audited, and ten lines of it can expand for ever",
        hint: "write a function; it may be generic over Scalar",
        rejected: Example::Source("macro_rules! twice { ($x:expr) => { $x + $x } }"),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let place = parsed
            .tokens
            .iter()
            .find(|token| token.name() == Some("macro_rules") || token.is_keyword("macro"))?;
        Some(Offence::on(place, "macros cannot be defined"))
    },
};
