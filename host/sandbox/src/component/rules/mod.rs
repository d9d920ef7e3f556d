//! The rules of the component gate, one file each: a page, an example as WebAssembly text, and what finds an offence.

mod code;
mod memory;
pub(super) mod no_imports;
mod no_start;
pub(super) mod size;
mod tables;
pub(super) mod valid;
mod world;

use super::survey::Survey;
use crate::Stage;
use crate::rules::Rule;

/// A page and what finds the first offence against it, as a message.
pub(super) struct ComponentRule {
    pub(super) page: Rule,
    pub(super) find: fn(&Survey) -> Option<String>,
}

/// In the order in which they are tried, after [`size`] and [`valid`].
pub(super) const ON_SURVEY: &[ComponentRule] = &[
    no_imports::RULE,
    no_start::RULE,
    memory::RULE,
    tables::RULE,
    code::RULE,
    world::RULE,
];

/// Every page of this gate.
pub(crate) fn pages() -> impl Iterator<Item = Rule> {
    let on_survey = ON_SURVEY.iter().map(|rule| rule.page);
    [size::PAGE, valid::PAGE].into_iter().chain(on_survey)
}

const fn page(
    name: &'static str,
    what: &'static str,
    why: &'static str,
    hint: &'static str,
    rejected: &'static str,
) -> Rule {
    Rule {
        name,
        stage: Stage::Component,
        what,
        why,
        hint,
        rejected,
        accepted: "",
    }
}
