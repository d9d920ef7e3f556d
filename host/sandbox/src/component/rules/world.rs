//! `component/world`

use super::{ComponentRule, none};
use crate::Stage;
use crate::component::EXPORT;
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        name: "component/world",
        stage: Stage::Component,
        what: "exports other than the interface lossbox:preference/loss@0.1.0 with exactly its functions and types",
        why: "the host calls this interface and nothing else",
        hint: "export the world preference-loss of guest-sdk/wit/loss.wit",
        rejected: Example::Component("(component)"),
        accepted: Example::PLAIN,
    },
    measures: none,
    find: |survey| match survey.exports.as_slice() {
        [export] if export.name == EXPORT && export.is_interface => survey.difference.clone(),
        exports => {
            let names: Vec<&str> = exports.iter().map(|export| export.name.as_str()).collect();
            Some(format!("exports [{}], expected the interface {EXPORT:?}", names.join(", ")))
        }
    },
};
