//! `source/no-include`

use super::super::tokens::macros_named;
use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

const FORBIDDEN: [&str; 3] = ["include", "include_str", "include_bytes"];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/no-include",
        stage: Stage::Source,
        what: "include!, include_str! and include_bytes!, under whatever path, raw name or alias",
        why: "they read files of the machine that compiles, and their errors quote them",
        hint: "write the numbers that you need into the file",
        rejected: Example::Source(r#"const TEXT: &str = core::r#include_str!("/etc/hostname");"#),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let (name, place) = macros_named(&parsed.tokens, &FORBIDDEN)?;
        Some(Offence::on(place, format!("{name}! is not allowed")))
    },
};
