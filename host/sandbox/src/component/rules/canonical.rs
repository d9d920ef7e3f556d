//! `component/canonical`

use super::{ComponentRule, none, page};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/canonical",
        "resources of its own, texts in other encodings than UTF-8, and canonical built-ins that a loss does not need",
        "the contract has numbers, lists and texts; the rest is surface that nobody uses",
        "wrap the module as wit-component does, with UTF-8",
        "(component (type (resource (rep i32))))",
    ),
    measures: none,
    find: |survey| {
        if survey.structure.resources > 0 {
            return Some("defines a resource".to_owned());
        }
        let what = survey.canonical.as_ref()?;
        Some(format!("asks the canonical ABI for {what}"))
    },
};
