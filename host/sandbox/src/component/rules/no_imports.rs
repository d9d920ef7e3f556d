//! `component/no-imports`

use super::{ComponentRule, none, page};
use crate::component::Imports;

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/no-imports",
        "imports of any kind; a component from elsewhere may import the WASI 0.2 interfaces of std, unless --strict asks otherwise",
        "a loss needs nothing but its arguments",
        "build against guest_sdk without std",
        r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)))"#,
    ),
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
