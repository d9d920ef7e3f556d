//! `component/no-imports`

use super::{ComponentRule, page};
use crate::Rejection;
use crate::guest::wasi;

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/no-imports",
        "imports, but for the interfaces of WASI 0.2 that can be served from nothing; with --strict those too",
        "a loss needs nothing but its arguments",
        "build against guest_sdk without std",
        r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)))"#,
    ),
    find: |survey| {
        let imported = survey.imports.iter().find(|name| !wasi::serves(name))?;
        Some(message(imported))
    },
};

/// For a sandbox that allows no imports.
pub(in crate::component) fn rejection(name: &str) -> Rejection {
    RULE.page.rejection(message(name))
}

fn message(name: &str) -> String {
    format!("imports {name:?}, expected no imports")
}
