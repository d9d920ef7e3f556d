//! `source/no-unsafe`

use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/no-unsafe",
        stage: Stage::Source,
        what: "the keyword unsafe, in code, in attributes and in macro arguments",
        why: "a loss is arithmetic; what is unsafe is meant for something else",
        hint: "write it in safe Rust with the functions of guest_sdk",
        rejected: Example::Source("fn loss() -> f64 { unsafe { *(1024 as *const f64) } }"),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let place = parsed.tokens.iter().find(|token| token.is_keyword("unsafe"))?;
        Some(Offence::on(place, "unsafe code is not allowed"))
    },
};
