//! `source/no-extern`

use super::{Parsed, SourceRule, page};
use crate::source::Offence;

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: page(
        "source/no-extern",
        "the keyword extern: other crates, foreign functions, other calling conventions",
        "a component imports nothing, and a loss needs no crate but guest_sdk",
        "use guest_sdk::prelude::*; it has all the functions there are",
        "extern crate std;",
    ),
    find: |parsed| {
        let place = parsed
            .tokens
            .iter()
            .find(|token| token.is_keyword("extern"))?;
        Some(Offence::on(place, "extern is not allowed"))
    },
};
