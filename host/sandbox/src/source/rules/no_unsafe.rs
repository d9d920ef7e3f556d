//! `source/no-unsafe`

use super::{Parsed, SourceRule, page};
use crate::source::Offence;

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: page(
        "source/no-unsafe",
        "the keyword unsafe, in code, in attributes and in macro arguments",
        "a loss is arithmetic; what is unsafe is meant for something else",
        "write it in safe Rust with the functions of guest_sdk",
        "fn loss() -> f64 { unsafe { *(1024 as *const f64) } }",
    ),
    find: |parsed| {
        let place = parsed
            .tokens
            .iter()
            .find(|token| token.is_keyword("unsafe"))?;
        Some(Offence::on(place, "unsafe code is not allowed"))
    },
};
