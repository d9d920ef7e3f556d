//! Gate 3: the component audit. Reads the bytes with `wasmparser` before wasmtime sees them.
//!
//! Exactly the world's export, no imports, no start function, bounded memory, tables and sizes, only the
//! proposals that the world needs. What this gate does not cover: a component that is slow to compile all
//! the same, which costs its own child.

pub(crate) mod rules;
mod survey;

use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmparser::WasmFeatures;

use crate::Rejection;
use crate::compile::{Component, hex};
use survey::Survey;

/// The one export of a plugin.
pub const EXPORT: &str = "lossbox:preference/loss@0.1.0";

/// The proposals that a plugin may use, for the validator here and for the engine that runs it.
///
/// A list of what is allowed: some proposals cannot be switched off by name without the cargo feature that brings them.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::COMPONENT_MODEL);

/// A component that kept every rule of this gate. Only [`audit`] makes one.
#[derive(Debug, Clone)]
pub struct AuditedComponent {
    bytes: Vec<u8>,
    report: ComponentReport,
}

impl AuditedComponent {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the audit measured.
    pub fn report(&self) -> &ComponentReport {
        &self.report
    }
}

/// Sizes and counts of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentReport {
    /// Size in bytes.
    pub bytes: usize,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Names that it exports.
    pub exports: Vec<String>,
    /// Names that it imports: none, or interfaces of WASI 0.2.
    pub imports: Vec<String>,
    /// Linear memory that it starts with, in bytes.
    pub memory_bytes: u64,
    /// Linear memory that it may grow to, in bytes.
    pub memory_bytes_max: u64,
    /// Functions with a body.
    pub functions: u32,
    /// The largest body in bytes.
    pub largest_body_bytes: usize,
    /// Names of custom sections.
    pub custom_sections: Vec<String>,
}

/// Holds a component against every rule of this gate; a `strict` one allows no imports at all.
///
/// # Errors
/// The first rule that it breaks.
pub fn audit(component: Component, strict: bool) -> Result<AuditedComponent, Rejection> {
    let bytes = component.into_bytes();
    rules::size::check(&bytes)?;
    rules::valid::check(&bytes)?;
    let survey = Survey::of(&bytes).map_err(|error| rules::valid::invalid(&error))?;
    if strict && let Some(name) = survey.imports.first() {
        return Err(rules::no_imports::rejection(name));
    }
    for rule in rules::ON_SURVEY {
        if let Some(message) = (rule.find)(&survey) {
            return Err(rule.page.rejection(message));
        }
    }
    let report = report(&bytes, survey);
    Ok(AuditedComponent { bytes, report })
}

fn report(bytes: &[u8], survey: Survey) -> ComponentReport {
    ComponentReport {
        bytes: bytes.len(),
        sha256: hex(&Sha256::digest(bytes)),
        exports: survey
            .exports
            .into_iter()
            .map(|export| export.name)
            .collect(),
        imports: survey.imports,
        memory_bytes: survey.memories.iter().map(|memory| memory.bytes).sum(),
        memory_bytes_max: survey
            .memories
            .iter()
            .filter_map(|memory| memory.bytes_max)
            .sum(),
        functions: survey.functions,
        largest_body_bytes: survey.largest_body_bytes,
        custom_sections: survey.custom_sections,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_rejected(bytes: Vec<u8>, rule: &str) {
        let rejection = audit(Component::from_file(bytes), true).expect_err(rule);
        assert_eq!(rejection.rule, rule, "{rejection:?}");
    }

    #[test]
    fn every_rule_rejects_its_example() {
        for page in rules::pages().filter(|page| !page.rejected.is_empty()) {
            let bytes = wat::parse_str(page.rejected).expect(page.name);
            check_rejected(bytes, page.name);
        }
    }

    #[test]
    fn what_is_no_component_is_rejected() {
        check_rejected(b"hello".to_vec(), "component/valid");
        check_rejected(b"\0asm\x0d\0\x01\0\xff".to_vec(), "component/valid");
        check_rejected(vec![0; 2 << 20], "component/size");
    }

    #[test]
    fn proposals_that_a_loss_does_not_need_are_rejected() {
        for module in [
            "(memory 1 1 shared)",
            "(memory i64 1 1)",
            "(memory 1 1) (memory 1 1)",
            "(tag)",
            "(func $f return_call $f)",
            "(func (param v128) (drop (i32x4.relaxed_trunc_f32x4_s (local.get 0))))",
            "(type (struct))",
            "(memory 1 1 (pagesize 1))",
        ] {
            let text = format!("(component (core module {module}))");
            check_rejected(wat::parse_str(&text).expect(module), "component/valid");
        }
    }

    #[test]
    fn code_that_is_slow_to_compile_is_rejected() {
        let many = format!("(component (core module {}))", "(func)".repeat(2_001));
        let large = format!(
            "(component (core module (func {})))",
            "(drop (i64.const -1))".repeat(22_000)
        );
        let deep = format!(
            "(component (core module (func {} {})))",
            "(block".repeat(300),
            ")".repeat(300)
        );
        for text in [many, large, deep] {
            check_rejected(
                wat::parse_str(&text).expect("well formed"),
                "component/code",
            );
        }
    }
}
