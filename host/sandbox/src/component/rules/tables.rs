//! `component/tables`

use super::{ComponentRule, page};
use crate::limits::{TABLE_ELEMENTS_MAX, TABLES_MAX};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/tables",
        "more than 8 tables, or tables of more than 1,000 elements",
        "tables are memory by another name",
        "a loss has a handful of functions, and a table of those that are called indirectly",
        "(component (core module (table 100000 funcref)))",
    ),
    find: |survey| {
        let n_tables = survey.tables.len();
        if n_tables > TABLES_MAX {
            return Some(format!(
                "has {n_tables} tables, expected at most {TABLES_MAX}"
            ));
        }
        let elements = survey.tables.iter().map(|table| table.elements).max()?;
        (elements > TABLE_ELEMENTS_MAX as u64).then(|| {
            format!("a table has {elements} elements, expected at most {TABLE_ELEMENTS_MAX}")
        })
    },
};
