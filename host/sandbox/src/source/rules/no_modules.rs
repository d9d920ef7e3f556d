//! `source/no-modules`

use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::{Form, Offence};

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/no-modules",
        stage: Stage::Source,
        what: "modules, in files or inline; in a crate, `mod name;` alone is allowed",
        why: "a module can be any file of the machine that compiles, and a loss is one file",
        hint: "write helper functions beside the loss",
        rejected: Example::Source("#[path = \"/etc/passwd\"] mod secrets;"),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let place = match parsed.form {
            Form::OneFile => parsed.tokens.iter().find(|token| token.is_keyword("mod"))?,
            Form::Crate => parsed.tokens.windows(3).find_map(|window| {
                let is_file = window[2].is_mark(';');
                (window[0].is_keyword("mod") && !is_file).then_some(&window[0])
            })?,
        };
        Some(Offence::on(place, "modules are not allowed"))
    },
};
