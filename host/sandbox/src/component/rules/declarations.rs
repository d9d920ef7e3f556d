//! `component/declarations`

use super::{ComponentRule, page};
use crate::component::measure::{Measure, first_beyond};
use crate::component::survey::Survey;
use crate::limits::{
    CUSTOM_SECTIONS_MAX, DATA_BYTES_MAX, DATA_SEGMENTS_MAX, GLOBALS_MAX, MODULE_EXPORTS_MAX,
    MODULE_IMPORTS_MAX, TYPES_MAX,
};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/declarations",
        "more types, globals, data, imports or exports of modules than the limits table allows",
        "each is read, checked and kept for every instance",
        "a loss has a few dozen of each, and a few kilobytes of data",
        "",
    ),
    measures,
    find: |survey| first_beyond(&measures(survey)),
};

fn measures(survey: &Survey) -> Vec<Measure> {
    let core = &survey.core;
    vec![
        Measure::new("function types", core.types, TYPES_MAX),
        Measure::new("globals", core.globals, GLOBALS_MAX),
        Measure::new("data segments", core.data_segments, DATA_SEGMENTS_MAX),
        Measure::new("bytes of data", core.data_bytes, DATA_BYTES_MAX),
        Measure::new("imports of modules", core.imports, MODULE_IMPORTS_MAX),
        Measure::new("exports of modules", core.exports, MODULE_EXPORTS_MAX),
        Measure::new(
            "custom sections",
            survey.custom_sections.len() as u64,
            CUSTOM_SECTIONS_MAX,
        ),
    ]
}
