//! `component/no-imports`

use super::{ComponentRule, none};
use crate::Stage;
use crate::component::Imports;
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        name: "component/no-imports",
        stage: Stage::Component,
        what: "imports of any kind; a component from elsewhere may import the WASI 0.2 interfaces of std, unless --strict asks otherwise",
        why: "a loss needs nothing but its arguments",
        hint: "build against guest_sdk without std",
        rejected: Example::Component(r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)))"#),
        accepted: Example::PLAIN,
    },
    measures: none,
    find: |survey| {
        let allowed = survey.allowed;
        let refused = survey
            .imports
            .iter()
            .find(|import| !allowed.allow(&import.name, import.is_interface))?;
        let expected = match allowed {
            Imports::None => "no imports",
            Imports::Wasi => "nothing but the WASI 0.2 interfaces that std imports",
        };
        Some(format!("imports \"{}\", expected {expected}", refused.name))
    },
};
