//! `source/no-env`

use super::super::tokens::macro_calls;
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
        let (name, place) =
            macro_calls(&parsed.tokens).find(|(name, _)| FORBIDDEN.contains(name))?;
        Some(Offence::on(place, format!("{name}! is not allowed")))
    },
};
