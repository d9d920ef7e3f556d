//! `component/no-start`

use super::{ComponentRule, page};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/no-start",
        "start functions",
        "they run before a call is accounted for",
        "compute in evaluate",
        "(component (core module (func $f (loop $again (br $again))) (start $f)))",
    ),
    find: |survey| (survey.start_functions > 0).then(|| "has a start function".to_owned()),
};
