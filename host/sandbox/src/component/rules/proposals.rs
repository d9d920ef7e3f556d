//! `component/proposals`

use wasmparser::{BinaryReaderError, Validator, WasmFeatures};

use super::page;
use crate::Rejection;
use crate::component::FEATURES;
use crate::rules::Rule;

pub(crate) const PAGE: Rule = page(
    "component/proposals",
    "WebAssembly proposals that a loss does not need",
    "threads, exceptions, memory64 or relaxed SIMD widen the wall and may make results differ between machines",
    "build for wasm32-wasip2 without target features",
    "(component (core module (memory 1 1 shared)))",
);

/// Every proposal that is off, by the name of its repository.
const PROPOSALS: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::THREADS, "threads"),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared-everything-threads",
    ),
    (WasmFeatures::RELAXED_SIMD, "relaxed-simd"),
    (WasmFeatures::TAIL_CALL, "tail-call"),
    (WasmFeatures::MULTI_MEMORY, "multi-memory"),
    (WasmFeatures::EXCEPTIONS, "exception-handling"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy exception-handling"),
    (WasmFeatures::MEMORY64, "memory64"),
    (WasmFeatures::EXTENDED_CONST, "extended-const"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom-page-sizes"),
    (WasmFeatures::MEMORY_CONTROL, "memory-control"),
    (WasmFeatures::STACK_SWITCHING, "stack-switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide-arithmetic"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "custom-descriptors"),
    (WasmFeatures::COMPACT_IMPORTS, "compact-import-section"),
    (WasmFeatures::GC, "gc"),
    (WasmFeatures::FUNCTION_REFERENCES, "function-references"),
    (WasmFeatures::GC_TYPES, "reference-types"),
    (WasmFeatures::REFERENCE_TYPES, "reference-types"),
    (WasmFeatures::CM_ASYNC, "component-model async"),
    (WasmFeatures::CM_ASYNC_STACKFUL, "component-model async"),
    (
        WasmFeatures::CM_MORE_ASYNC_BUILTINS,
        "component-model async",
    ),
    (WasmFeatures::CM_THREADING, "component-model threading"),
    (
        WasmFeatures::CM_ERROR_CONTEXT,
        "component-model error-context",
    ),
    (WasmFeatures::CM_VALUES, "component-model values"),
    (
        WasmFeatures::CM_NESTED_NAMES,
        "component-model nested names",
    ),
    (
        WasmFeatures::CM_FIXED_LENGTH_LISTS,
        "component-model fixed-length lists",
    ),
    (WasmFeatures::CM_MAP, "component-model maps"),
    (WasmFeatures::CM_GC, "component-model gc"),
    (WasmFeatures::CM64, "component-model 64-bit"),
    (WasmFeatures::CM_IMPLEMENTS, "component-model implements"),
    (
        WasmFeatures::CM_CANON_NAMES,
        "component-model canonical names",
    ),
];

/// The rejection of a component that is valid but for the proposals that it uses; `None` where it is not valid at all.
///
/// A proposal is named where the component stops being valid without it. The few that are refused by name are found
/// by validating once more for each; a component that is invalid anyway costs one validation.
pub(in crate::component) fn named(bytes: &[u8], error: &BinaryReaderError) -> Option<Rejection> {
    let everything = WasmFeatures::all();
    let is_valid = |features| {
        Validator::new_with_features(features)
            .validate_all(bytes)
            .is_ok()
    };
    let names: Vec<&str> = if is_valid(everything) {
        let needed = PROPOSALS.iter().filter(|(proposal, _)| {
            !FEATURES.contains(*proposal)
                && !is_valid(everything.difference(*proposal).union(FEATURES))
        });
        needed.map(|(_, name)| *name).collect()
    } else {
        // Not valid whatever is on: the validator may still know what it missed first.
        let missing = error.missing_wasm_feature()?;
        let missed = PROPOSALS
            .iter()
            .filter(|(proposal, _)| missing.contains(*proposal));
        missed.map(|(_, name)| *name).collect()
    };
    let first = names.first()?;
    let mut distinct = vec![*first];
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    Some(PAGE.rejection(format!(
        "needs {}: {} (at byte {})",
        distinct.join(", "),
        error.message().escape_debug(),
        error.offset()
    )))
}
