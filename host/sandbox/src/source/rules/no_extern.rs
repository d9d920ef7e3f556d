//! `source/no-extern`

use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/no-extern",
        stage: Stage::Source,
        what: "the keyword extern: other crates, foreign functions, other calling conventions",
        why: "a component imports nothing, and a loss needs no crate but guest_sdk",
        hint: "use guest_sdk::prelude::*; it has all the functions there are",
        rejected: Example::Source("extern crate std;"),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let place = parsed.tokens.iter().find(|token| token.is_keyword("extern"))?;
        Some(Offence::on(place, "extern is not allowed"))
    },
};
