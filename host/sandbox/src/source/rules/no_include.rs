//! `source/no-include`

use super::super::tokens::macros_named;
use super::{Parsed, SourceRule, page};
use crate::source::Offence;

const FORBIDDEN: [&str; 3] = ["include", "include_str", "include_bytes"];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: page(
        "source/no-include",
        "include!, include_str! and include_bytes!, under whatever path, raw name or alias",
        "they read files of the machine that compiles, and their errors quote them",
        "write the numbers that you need into the file",
        r#"const TEXT: &str = core::r#include_str!("/etc/hostname");"#,
    ),
    find: |parsed| {
        let (name, place) = macros_named(&parsed.tokens, &FORBIDDEN)?;
        Some(Offence::on(place, format!("{name}! is not allowed")))
    },
};
