//! `component/world`

use super::{ComponentRule, page};
use crate::component::EXPORT;

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/world",
        "exports other than lossbox:preference/loss@0.1.0",
        "the host calls this interface and nothing else",
        "export the world preference-loss of guest-sdk/wit/loss.wit",
        "(component)",
    ),
    find: |survey| match survey.exports.as_slice() {
        [export] if export.name == EXPORT && export.is_interface => None,
        exports => {
            let names: Vec<&str> = exports.iter().map(|export| export.name.as_str()).collect();
            Some(format!(
                "exports {names:?}, expected the interface {EXPORT:?}"
            ))
        }
    },
};
