//! `source/no-pointers`

use super::{Parsed, SourceRule, page};
use crate::source::Offence;

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: page(
        "source/no-pointers",
        "raw pointer types: *const and *mut",
        "an address depends on where things happen to lie, and a loss on its arguments alone",
        "use references",
        "fn address(x: &f64) -> usize { x as *const f64 as usize }",
    ),
    find: |parsed| {
        let pointer = parsed.tokens.windows(2).find(|window| {
            window[0].is_mark('*') && (window[1].is_keyword("const") || window[1].is_keyword("mut"))
        })?;
        Some(Offence::on(&pointer[0], "raw pointers are not allowed"))
    },
};
