//! `component/no-imports`

use super::{ComponentRule, page};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/no-imports",
        "imports of any kind",
        "a loss needs nothing but its arguments",
        "build against guest_sdk without std",
        r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#,
    ),
    find: |survey| {
        survey
            .imports
            .first()
            .map(|name| format!("imports {name:?}, expected no imports"))
    },
};
