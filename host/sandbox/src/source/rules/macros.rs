//! `source/macros`

use super::super::tokens::macro_calls;
use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::{Form, Offence};

const ALLOWED: [&str; 12] = [
    "pair_loss",
    "batch_loss",
    "vec",
    "matches",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "panic",
    "unreachable",
];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/macros",
        stage: Stage::Source,
        what: "every macro but pair_loss!, batch_loss!, vec!, matches!, panic!, unreachable! and assertions",
        why: "a macro can read files, run for ever or stand for another macro",
        hint: "call functions; a loss prints nothing",
        rejected: Example::Source(r#"fn loss() { println!("hello"); }"#),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let (name, place) = macro_calls(&parsed.tokens).find_map(|call| {
            let allowed = |name: &&str| is_allowed(name, parsed.form);
            let name = call.names.into_iter().find(|name| !allowed(name))?;
            Some((name, call.place))
        })?;
        let allowed = ALLOWED.map(|name| format!("{name}!")).join(", ");
        let message =
            format!("{name}! is not allowed: expected one of {allowed}, each by its own name");
        Some(Offence::on(place, message))
    },
};

/// A crate is its own wrapper, so it exports its loss itself.
fn is_allowed(name: &str, form: Form) -> bool {
    ALLOWED.contains(&name) || (form == Form::Crate && name == "export")
}
