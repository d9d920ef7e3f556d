//! `component/no-start`

use super::{ComponentRule, none};
use crate::Stage;
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        name: "component/no-start",
        stage: Stage::Component,
        what: "start functions, of modules and of components",
        why: "they run before a call is accounted for",
        hint: "compute in evaluate",
        rejected: Example::Component(
            "(component (core module (func $f (loop $again (br $again))) (start $f)))",
        ),
        accepted: Example::PLAIN,
    },
    measures: none,
    find: |survey| (survey.core.start_functions > 0).then(|| "has a start function".to_owned()),
};
