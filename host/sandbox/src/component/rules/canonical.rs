//! `component/canonical`

use super::{ComponentRule, none};
use crate::Stage;
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        name: "component/canonical",
        stage: Stage::Component,
        what: "resources of its own, texts in other encodings than UTF-8, and canonical built-ins that a loss does not need",
        why: "the contract has numbers, lists and texts; the rest is surface that nobody uses",
        hint: "wrap the module as wit-component does, with UTF-8",
        rejected: Example::Component("(component (type (resource (rep i32))))"),
        accepted: Example::PLAIN,
    },
    measures: none,
    find: |survey| {
        if survey.structure.resources > 0 {
            return Some("defines a resource".to_owned());
        }
        let what = survey.canonical.as_ref()?;
        Some(format!("asks the canonical ABI for {what}"))
    },
};
