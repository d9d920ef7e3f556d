//! Gate 3: the component audit. Reads the bytes with `wasmparser` before wasmtime sees them.
//!
//! Exactly the world's export with its types, no imports (or those of WASI that std needs), no start function,
//! bounded memory, tables and sizes, only the proposals that the world needs. The limits are in
//! [`crate::limits`]; those that bound a validator's work are held before anything is validated. What this gate does not cover: what
//! the code does when it runs, and a component that is slow to compile all the same, which costs its own child. A host
//! that is built with `panic = "abort"` ends where the validator panics, which is a mistake of the validator's.

mod imports;
mod interface;
mod measure;
pub(crate) mod rules;
mod survey;

use std::thread;

use serde::Serialize;
use wasmparser::WasmFeatures;

use crate::compile::Component;
use crate::limits::COMPONENT_STACK_BYTES;
use crate::{Rejection, hash};
pub use imports::{Imports, WASI};
pub use measure::Measure;
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

/// What is known of a component whatever becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownComponent {
    /// Size in bytes.
    pub bytes: usize,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// What was counted; `None` where its sections cannot be told apart.
    pub report: Option<ComponentReport>,
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
    /// Names that it imports: none, or interfaces of WASI.
    pub imports: Vec<String>,
    /// Whether it runs only where WASI is served, from a context with nothing in it.
    pub needs_wasi: bool,
    /// Linear memory that it starts with, in bytes.
    pub memory_bytes: u64,
    /// Linear memory that it may grow to, in bytes.
    pub memory_bytes_max: u64,
    /// Functions with a body.
    pub functions: u64,
    /// The largest body in bytes.
    pub largest_body_bytes: u64,
    /// Names of custom sections, escaped so that they can be printed.
    pub custom_sections: Vec<String>,
    /// What was counted, each against its limit.
    pub limits: Vec<Measure>,
}

/// Holds a component that may not import anything against every rule of this gate.
///
/// # Errors
/// The first rule that it breaks.
pub fn audit(component: Component) -> Result<AuditedComponent, Rejection> {
    audit_with(component, Imports::None)
}

/// Holds a component against every rule of this gate, with these imports allowed.
///
/// # Errors
/// The first rule that it breaks.
pub fn audit_with(component: Component, imports: Imports) -> Result<AuditedComponent, Rejection> {
    look(component, imports).1
}

/// The verdict of this gate, and what is known of the component either way; nothing of one that is too large to be read.
pub(crate) fn look(
    component: Component,
    imports: Imports,
) -> (Option<KnownComponent>, Result<AuditedComponent, Rejection>) {
    let bytes = component.into_bytes();
    if let Err(rejection) = rules::size::check(&bytes) {
        return (None, Err(rejection));
    }
    // Types nest in types, and their reader goes down into each: what it may read is bounded, and this is enough for it.
    let surveyed = thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(COMPONENT_STACK_BYTES)
            .spawn_scoped(scope, || survey(&bytes, imports))
            .expect("the machine can start one more thread")
            .join()
    });
    // A validator that panics is the end of this component, not of the host.
    let (survey, verdict) = match surveyed {
        Ok(Ok((survey, verdict))) => (Some(survey), verdict),
        Ok(Err(rejection)) => (None, Err(rejection)),
        Err(_) => (None, Err(rules::valid::given_up())),
    };
    let sha256 = hash::of(&bytes);
    let report = survey.map(|survey| report(&bytes, &sha256, survey));
    let known = KnownComponent { bytes: bytes.len(), sha256, report: report.clone() };
    let audited = verdict.and_then(|()| {
        let report = report.ok_or_else(rules::valid::given_up)?;
        Ok(AuditedComponent { bytes, report })
    });
    (Some(known), audited)
}

/// Counts, then judges; an error where there is nothing to count.
fn survey(bytes: &[u8], imports: Imports) -> Result<(Survey, Result<(), Rejection>), Rejection> {
    let mut survey = Survey::of(bytes, imports)?;
    let verdict = judge(bytes, &mut survey);
    Ok((survey, verdict))
}

/// Holds the counts on which a validator's work depends against their limits before it validates.
fn judge(bytes: &[u8], survey: &mut Survey) -> Result<(), Rejection> {
    for rule in rules::BEFORE_VALIDATION {
        if let Some(message) = measure::first_beyond(&(rule.measures)(survey)) {
            return Err(rule.page.rejection(message));
        }
    }
    let types = rules::valid::check(bytes)?;
    survey.difference = interface::difference(types.as_ref(), EXPORT);
    for rule in rules::ON_SURVEY {
        if let Some(message) = (rule.find)(survey) {
            return Err(rule.page.rejection(message));
        }
    }
    Ok(())
}

fn report(bytes: &[u8], sha256: &str, survey: Survey) -> ComponentReport {
    let limits = rules::ON_SURVEY.iter().flat_map(|rule| (rule.measures)(&survey)).collect();
    // Of what was not validated, any number may be declared.
    let sum = |bytes: &mut dyn Iterator<Item = u64>| bytes.fold(0, u64::saturating_add);
    let memories = || survey.memories.iter();
    ComponentReport {
        bytes: bytes.len(),
        sha256: sha256.to_owned(),
        needs_wasi: !survey.imports.is_empty(),
        memory_bytes: sum(&mut memories().map(|memory| memory.bytes)),
        memory_bytes_max: sum(&mut memories().filter_map(|memory| memory.bytes_max)),
        functions: survey.code.functions,
        largest_body_bytes: survey.code.largest_body_bytes,
        exports: survey.exports.into_iter().map(|export| export.name).collect(),
        imports: survey.imports.into_iter().map(|import| import.name).collect(),
        custom_sections: survey.custom_sections,
        limits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_rejected(bytes: Vec<u8>, rule: &str) -> Rejection {
        let rejection = audit(Component::from_bytes(bytes)).expect_err(rule);
        assert_eq!(rejection.rule, rule, "{rejection:?}");
        rejection
    }

    #[test]
    fn what_is_no_component_is_rejected() {
        check_rejected(b"hello".to_vec(), "component/valid");
        check_rejected(b"\0asm\x0d\0\x01\0\xff".to_vec(), "component/valid");
        check_rejected(vec![0; 2 << 20], "component/size");
    }

    /// As much as can be, of a component that breaks a rule; and never less than its size and its hash.
    #[test]
    fn a_rejected_component_is_known_all_the_same() {
        let look = |bytes: &[u8]| {
            let (known, audited) = look(Component::from_bytes(bytes.to_vec()), Imports::None);
            assert!(audited.is_err());
            known
        };
        let text = r#"(component (core module (memory 1 2000)) (core module (func)) (export "x" (core module 0)))"#;
        let bytes = wat::parse_str(text).expect("well formed");
        let known = look(&bytes).expect("small");
        assert_eq!(known.bytes, bytes.len());
        assert_eq!(known.sha256, hash::of(&bytes));
        let report = known.report.expect("counted");
        assert_eq!(report.exports, ["x"]);
        assert_eq!(report.functions, 1);
        assert_eq!(report.memory_bytes_max, 2000 * 65_536);
        let beyond = |limit: &&Measure| limit.count > limit.limit;
        let beyond: Vec<&str> = report.limits.iter().filter(beyond).map(|l| l.name).collect();
        assert_eq!(beyond, ["bytes of memory at most"]);
        let known = look(b"hello").expect("small");
        assert_eq!((known.bytes, known.report), (5, None));
        assert_eq!(look(&vec![0; 2 << 20]), None);
    }

    #[test]
    fn names_in_messages_cannot_steer_a_terminal() {
        let text = r#"(component
            (core module $m (import "\1b[2J\e2\80\ae" "x" (func)))
            (core instance (instantiate $m)))"#;
        let bytes = wat::parse_str(text).expect("well formed");
        let rejection = audit(Component::from_bytes(bytes)).expect_err("an import is missing");
        assert!(rejection.message.contains(r"\u{1b}[2J\u{202e}"), "{rejection:?}");
    }

    #[test]
    fn proposals_that_a_loss_does_not_need_are_rejected() {
        for (module, proposal) in [
            ("(memory 1 1 shared)", "threads"),
            ("(memory i64 1 1)", "memory64"),
            ("(table i64 1 funcref)", "memory64"),
            ("(memory 1 1) (memory 1 1)", "multi-memory"),
            ("(tag)", "exception-handling"),
            ("(func $f return_call $f)", "tail-call"),
            (
                "(func (param v128) (drop (i32x4.relaxed_trunc_f32x4_s (local.get 0))))",
                "relaxed-simd",
            ),
            ("(type (struct))", "gc"),
            ("(func (param externref))", "reference-types"),
            (
                "(table 1 funcref) (func (drop (table.grow 0 (ref.null func) (i32.const 1))))",
                "reference-types",
            ),
            ("(memory 1 1 (pagesize 1))", "custom-page-sizes"),
            ("(global i32 (i32.add (i32.const 1) (i32.const 2)))", "extended-const"),
            (
                "(func (param i64) (drop (drop (i64.mul_wide_u (local.get 0) (local.get 0)))))",
                "wide-arithmetic",
            ),
        ] {
            let text = format!("(component (core module {module}))");
            let rejection =
                check_rejected(wat::parse_str(&text).expect(module), "component/proposals");
            assert!(rejection.message.contains(proposal), "{module}: {}", rejection.message);
        }
        for (item, proposal) in [
            ("(type (func async))", "async"),
            ("(type (stream u8))", "async"),
            ("(type (future u8))", "async"),
            ("(type error-context)", "error-context"),
            ("(type (list u8 4))", "fixed-length lists"),
            ("(type (map string u8))", "maps"),
        ] {
            let text = format!("(component {item})");
            let rejection =
                check_rejected(wat::parse_str(&text).expect(item), "component/proposals");
            assert!(rejection.message.contains(proposal), "{item}: {}", rejection.message);
        }
    }

    #[test]
    fn code_that_is_slow_to_compile_is_rejected() {
        let many = format!("(component (core module {}))", "(func)".repeat(2_001));
        let large =
            format!("(component (core module (func {})))", "(drop (i64.const -1))".repeat(22_000));
        let deep = format!(
            "(component (core module (func {} {})))",
            "(block".repeat(300),
            ")".repeat(300)
        );
        let loops = format!("(component (core module (func {})))", "(loop)".repeat(2_001));
        for text in [many, large, deep, loops] {
            check_rejected(wat::parse_str(&text).expect("well formed"), "component/code");
        }
    }

    /// A section of a component, or of what is nested in it.
    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![id];
        let mut length = content.len();
        while length > 0x7f {
            bytes.push(0x80 | (length & 0x7f) as u8);
            length >>= 7;
        }
        bytes.push(length as u8);
        [&bytes, content].concat()
    }

    const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

    /// The validator's own recursion and its tables are not reached by what nests deeper than the limits table says.
    #[test]
    fn what_nests_deep_is_rejected_before_anybody_goes_down_into_it() {
        for (n, message) in [
            (5_000, "5000 types around the innermost"),
            (20_000, "20000 types around the innermost"),
            (300_000, "bytes of component types"),
        ] {
            let types = [&[1][..], &[0x41, 1, 1].repeat(n), &[0x41, 0]].concat();
            let bytes = [PREAMBLE, &section(7, &types)].concat();
            let rejection = check_rejected(bytes, "component/structure");
            assert!(rejection.message.contains(message), "{rejection:?}");
        }
        let mut components = PREAMBLE.to_vec();
        for _ in 0..2_000 {
            components = [PREAMBLE, &section(4, &components)].concat();
        }
        check_rejected(components, "component/structure");
    }

    /// wasmparser counts how deep types refer to each other in seven bits, and panics beyond.
    #[test]
    fn a_validator_that_panics_costs_its_component() {
        let mut text = "(component (type $t0 (instance))".to_owned();
        for n in 1..=300 {
            let before = n - 1;
            text.push_str(&format!(
                r#"(type $t{n} (instance (alias outer 1 $t{before} (type $u)) (export "x" (instance (type $u)))))"#
            ));
        }
        text.push(')');
        check_rejected(wat::parse_str(&text).expect("well formed"), "component/valid");
    }

    #[test]
    fn wasi_is_imported_only_where_it_is_served() {
        let with = |import: &str| {
            let text = include_str!("rules/accepted.wat");
            wat::parse_str(text.replacen("(component", &format!("(component {import}"), 1))
                .expect(import)
        };
        let clock = r#"(import "wasi:clocks/monotonic-clock@0.2.6" (instance (export "now" (func (result u64)))))"#;
        let bytes = || Component::from_bytes(with(clock));
        let rejection = audit(bytes()).expect_err("no imports");
        assert_eq!(rejection.rule, "component/no-imports");
        let audited = audit_with(bytes(), Imports::Wasi).expect("a clock");
        assert!(audited.report().needs_wasi);
        assert_eq!(audited.report().imports, ["wasi:clocks/monotonic-clock@0.2.6"]);
        for import in [
            r#"(import "wasi:sockets/tcp@0.2.6" (instance))"#,
            r#"(import "wasi:clocks/monotonic-clock@0.3.0" (instance))"#,
            r#"(import "now" (func (result u64)))"#,
        ] {
            let rejection =
                audit_with(Component::from_bytes(with(import)), Imports::Wasi).expect_err(import);
            assert_eq!(rejection.rule, "component/no-imports");
        }
    }
}
