//! `source/no-env`

use super::super::tokens::macros_named;
use super::{Parsed, SourceRule, page};
use crate::source::Offence;

const FORBIDDEN: [&str; 2] = ["env", "option_env"];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: page(
        "source/no-env",
        "env! and option_env!",
        "they read the environment of the machine that compiles",
        "make it a hyperparameter",
        r#"const HOME: Option<&str> = option_env!("HOME");"#,
    ),
    find: |parsed| {
        let (name, place) = macros_named(&parsed.tokens, &FORBIDDEN)?;
        Some(Offence::on(place, format!("{name}! is not allowed")))
    },
};
