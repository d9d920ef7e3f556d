//! `source/no-macro-definitions`

use super::{Parsed, SourceRule, page};
use crate::source::Offence;

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: page(
        "source/no-macro-definitions",
        "macro_rules! and macros of other kinds",
        "what a macro expands to cannot be audited, and ten lines of it can expand for ever",
        "write a function; it may be generic over Scalar",
        "macro_rules! twice { ($x:expr) => { $x + $x } }",
    ),
    find: |parsed| {
        let place = parsed
            .tokens
            .iter()
            .find(|token| token.name() == Some("macro_rules") || token.is_keyword("macro"))?;
        Some(Offence::on(place, "macros cannot be defined"))
    },
};
