//! `component/code`

use super::ComponentRule;
use crate::Stage;
use crate::component::measure::{Measure, first_beyond};
use crate::component::survey::Survey;
use crate::limits::{
    CODE_NESTING_MAX, COMPONENT_BODY_BYTES_MAX, COMPONENT_CODE_BYTES_MAX, COMPONENT_FUNCTIONS_MAX,
    COSTLY_OPERATORS_MAX, LOCALS_MAX, PARAMETERS_MAX, RESULTS_MAX,
};
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        name: "component/code",
        stage: Stage::Component,
        what: "more code than the limits table allows: functions, bytes in all and in one body, nesting, locals, parameters",
        why: "compiling takes time that grows faster than the code, and with the square of its nesting",
        hint: "a loss of a few lines has about a hundred small functions; keep large ones apart with #[inline(never)]",
        rejected: Example::Component(concat!(
            "(component (core module (func (param",
            " f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64",
            " f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64",
            " f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64",
            "))))"
        )),
        accepted: Example::PLAIN,
    },
    measures,
    find: |survey| first_beyond(&measures(survey)),
};

fn measures(survey: &Survey) -> Vec<Measure> {
    let code = &survey.code;
    vec![
        Measure::new("functions", code.functions, COMPONENT_FUNCTIONS_MAX),
        Measure::new("bytes of code", code.bytes, COMPONENT_CODE_BYTES_MAX),
        Measure::new("bytes in one function", code.largest_body_bytes, COMPONENT_BODY_BYTES_MAX),
        Measure::new("blocks around one instruction", code.nesting, CODE_NESTING_MAX),
        Measure::new(
            "loops, indirect calls and bulk operations",
            code.costly,
            COSTLY_OPERATORS_MAX,
        ),
        Measure::new("locals in one function", code.locals, LOCALS_MAX),
        Measure::new("parameters of one function", code.params, PARAMETERS_MAX),
        Measure::new("results of one function", code.results, RESULTS_MAX),
    ]
}
