//! `component/code`

use super::{ComponentRule, page};
use crate::component::survey::Survey;
use crate::limits::{CODE_NESTING_MAX, COMPONENT_BODY_BYTES_MAX, COMPONENT_FUNCTIONS_MAX};
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        rejected: Example::LongComponent {
            shown: "a module of 2,001 functions",
            text: || format!("(component (core module {}))", "(func)".repeat(2_001)),
        },
        ..page(
            "component/code",
            "more than 2,000 functions, bodies of more than 64 KiB, or blocks nested more than 256 deep",
            "compiling takes time that grows with the square of these",
            "a loss of a few lines has about a hundred small functions",
            "",
        )
    },
    find,
};

fn find(survey: &Survey) -> Option<String> {
    let counts = [
        (
            "functions",
            survey.functions as usize,
            COMPONENT_FUNCTIONS_MAX as usize,
        ),
        (
            "bytes in one function",
            survey.largest_body_bytes,
            COMPONENT_BODY_BYTES_MAX,
        ),
        (
            "blocks around one instruction",
            survey.nesting,
            CODE_NESTING_MAX,
        ),
    ];
    counts
        .into_iter()
        .find(|(_, count, limit)| count > limit)
        .map(|(what, count, limit)| format!("has {count} {what}, expected at most {limit}"))
}
