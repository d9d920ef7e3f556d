//! `source/no-env`

use super::super::tokens::macros_named;
use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

const FORBIDDEN: [&str; 2] = ["env", "option_env"];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/no-env",
        stage: Stage::Source,
        what: "env! and option_env!",
        why: "they read the environment of the machine that compiles",
        hint: "make it a hyperparameter",
        rejected: Example::Source(r#"const HOME: Option<&str> = option_env!("HOME");"#),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let (name, place) = macros_named(&parsed.tokens, &FORBIDDEN)?;
        Some(Offence::on(place, format!("{name}! is not allowed")))
    },
};
