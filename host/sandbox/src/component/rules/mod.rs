//! The rules of the component gate, one file each: a page, an example as WebAssembly text, and what finds an offence.

mod canonical;
mod code;
mod declarations;
mod memory;
pub(super) mod no_imports;
mod no_start;
pub(super) mod proposals;
pub(super) mod size;
mod structure;
mod tables;
pub(super) mod valid;
mod world;

use super::measure::Measure;
use super::survey::Survey;
use crate::rules::Rule;

/// A page, what it counts, and what finds the first offence against it, as a message.
pub(super) struct ComponentRule {
    pub(super) page: Rule,
    pub(super) measures: fn(&Survey) -> Vec<Measure>,
    pub(super) find: fn(&Survey) -> Option<String>,
}

/// In the order in which they are tried, after [`size`] and [`valid`].
pub(super) const ON_SURVEY: &[ComponentRule] = &[
    no_imports::RULE,
    no_start::RULE,
    structure::RULE,
    memory::RULE,
    tables::RULE,
    code::RULE,
    declarations::RULE,
    canonical::RULE,
    world::RULE,
];

/// Whose counts a validator's time and memory grow with, some by their square: they are held before anything is validated.
pub(super) const BEFORE_VALIDATION: &[ComponentRule] =
    &[structure::RULE, code::RULE, declarations::RULE];

/// Every page of this gate.
pub(crate) fn pages() -> impl Iterator<Item = Rule> {
    let on_survey = ON_SURVEY.iter().map(|rule| rule.page);
    [size::PAGE, proposals::PAGE, valid::PAGE].into_iter().chain(on_survey)
}

/// For rules that forbid a thing whatever its size.
fn none(_: &Survey) -> Vec<Measure> {
    Vec::new()
}
