//! `component/no-start`

use super::{ComponentRule, none, page};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/no-start",
        "start functions, of modules and of components",
        "they run before a call is accounted for",
        "compute in evaluate",
        "(component (core module (func $f (loop $again (br $again))) (start $f)))",
    ),
    measures: none,
    find: |survey| (survey.core.start_functions > 0).then(|| "has a start function".to_owned()),
};
