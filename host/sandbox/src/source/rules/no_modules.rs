//! `source/no-modules`

use super::{Parsed, SourceRule, page};
use crate::source::{Form, Offence};

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: page(
        "source/no-modules",
        "modules, in files or inline; in a crate, `mod name;` alone is allowed",
        "a module can be any file of the machine that compiles, and a loss is one file",
        "write helper functions beside the loss",
        "#[path = \"/etc/passwd\"] mod secrets;",
    ),
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
