//! `component/tables`

use super::ComponentRule;
use crate::Stage;
use crate::component::measure::{Measure, first_beyond};
use crate::component::survey::Survey;
use crate::limits::{ELEMENT_SEGMENTS_MAX, ELEMENTS_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        name: "component/tables",
        stage: Stage::Component,
        what: "more than 8 tables, or tables of more than 1,000 elements, or more than 2,000 elements in segments",
        why: "tables are memory by another name",
        hint: "a loss has a handful of functions, and a table of those that are called indirectly",
        rejected: Example::Component("(component (core module (table 100000 funcref)))"),
        accepted: Example::PLAIN,
    },
    measures,
    find: |survey| first_beyond(&measures(survey)),
};

fn measures(survey: &Survey) -> Vec<Measure> {
    let largest = survey.tables.iter().map(|table| table.elements).max();
    let core = &survey.core;
    vec![
        Measure::new("tables", survey.tables.len() as u64, TABLES_MAX as u64),
        Measure::new("elements in one table", largest.unwrap_or(0), TABLE_ELEMENTS_MAX as u64),
        Measure::new("element segments", core.element_segments, ELEMENT_SEGMENTS_MAX),
        Measure::new("elements in segments", core.elements, ELEMENTS_MAX),
    ]
}
