//! `component/world`

use super::{ComponentRule, none, page};
use crate::component::EXPORT;

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/world",
        "exports other than the interface lossbox:preference/loss@0.1.0 with exactly its functions and types",
        "the host calls this interface and nothing else",
        "export the world preference-loss of guest-sdk/wit/loss.wit",
        "(component)",
    ),
    measures: none,
    find: |survey| match survey.exports.as_slice() {
        [export] if export.name == EXPORT && export.is_interface => survey.difference.clone(),
        exports => {
            let names: Vec<&str> = exports.iter().map(|export| export.name.as_str()).collect();
            Some(format!(
                "exports [{}], expected the interface {EXPORT:?}",
                names.join(", ")
            ))
        }
    },
};
