//! `component/declarations`

use super::ComponentRule;
use crate::Stage;
use crate::component::measure::{Measure, first_beyond};
use crate::component::survey::Survey;
use crate::limits::{
    CUSTOM_SECTIONS_MAX, DATA_BYTES_MAX, DATA_SEGMENTS_MAX, GLOBALS_MAX, MODULE_EXPORTS_MAX,
    MODULE_IMPORTS_MAX, TYPES_MAX,
};
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        name: "component/declarations",
        stage: Stage::Component,
        what: "more types, globals, data, imports or exports of modules than the limits table allows",
        why: "each is read, checked and kept for every instance",
        hint: "a loss has a few dozen of each, and a few kilobytes of data",
        rejected: Example::LongComponent {
            shown: "a module with one global more than the limits table allows",
            text: one_global_too_many,
        },
        accepted: Example::PLAIN,
    },
    measures,
    find: |survey| first_beyond(&measures(survey)),
};

fn one_global_too_many() -> String {
    let globals = "(global i32 (i32.const 0))".repeat(GLOBALS_MAX as usize + 1);
    format!("(component (core module {globals}))")
}

fn measures(survey: &Survey) -> Vec<Measure> {
    let core = &survey.core;
    vec![
        Measure::new("function types", core.types, TYPES_MAX),
        Measure::new("globals", core.globals, GLOBALS_MAX),
        Measure::new("data segments", core.data_segments, DATA_SEGMENTS_MAX),
        Measure::new("bytes of data", core.data_bytes, DATA_BYTES_MAX),
        Measure::new("imports of modules", core.imports, MODULE_IMPORTS_MAX),
        Measure::new("exports of modules", core.exports, MODULE_EXPORTS_MAX),
        Measure::new("custom sections", survey.custom_sections.len() as u64, CUSTOM_SECTIONS_MAX),
    ]
}
