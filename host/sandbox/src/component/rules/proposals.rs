//! `component/proposals`

use wasmparser::{BinaryReaderError, Validator, WasmFeatures};

use crate::component::FEATURES;
use crate::rules::{Example, Rule};
use crate::{Rejection, Stage};

pub(crate) const PAGE: Rule = Rule {
    name: "component/proposals",
    stage: Stage::Component,
    what: "WebAssembly proposals that a loss does not need",
    why: "threads, exceptions, memory64 or relaxed SIMD widen the wall and may make results differ between machines",
    hint: "build for wasm32-wasip2 without target features",
    rejected: Example::Component("(component (core module (memory 1 1 shared)))"),
    accepted: Example::PLAIN,
};

/// Every proposal that is off, by the name of its repository.
const PROPOSALS: &[(WasmFeatures, &str)] = &[
    (WasmFeatures::THREADS, "threads"),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "shared-everything-threads"),
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
    (WasmFeatures::CM_MORE_ASYNC_BUILTINS, "component-model async"),
    (WasmFeatures::CM_THREADING, "component-model threading"),
    (WasmFeatures::CM_ERROR_CONTEXT, "component-model error-context"),
    (WasmFeatures::CM_VALUES, "component-model values"),
    (WasmFeatures::CM_NESTED_NAMES, "component-model nested names"),
    (WasmFeatures::CM_FIXED_LENGTH_LISTS, "component-model fixed-length lists"),
    (WasmFeatures::CM_MAP, "component-model maps"),
    (WasmFeatures::CM_GC, "component-model gc"),
    (WasmFeatures::CM64, "component-model 64-bit"),
    (WasmFeatures::CM_IMPLEMENTS, "component-model implements"),
    (WasmFeatures::CM_CANON_NAMES, "component-model canonical names"),
];

/// The rejection of a component that is valid but for the proposals that it uses; `None` where it is not valid at all.
///
/// One proposal is named, the first that the validator missed. Where it cannot say which, the proposals are switched off
/// one after the other, and the one with which the component stops being valid is found by halving: a validation may take
/// tens of milliseconds in the host, and this takes six at most.
pub(in crate::component) fn named(bytes: &[u8], error: &BinaryReaderError) -> Option<Rejection> {
    let is_valid = |features| Validator::new_with_features(features).validate_all(bytes).is_ok();
    let missed = error.missing_wasm_feature().and_then(|missing| {
        let mut proposals = PROPOSALS.iter();
        proposals.find(|(proposal, _)| missing.intersects(*proposal))
    });
    let (_, name) = match missed {
        Some(missed) => missed,
        None => first_needed(is_valid)?,
    };
    Some(PAGE.rejection(format!(
        "needs {name}: {} (at byte {})",
        error.message().escape_debug(),
        error.offset()
    )))
}

/// The first proposal without which, and without those before it, a component is not valid that is valid with all.
fn first_needed(
    is_valid: impl Fn(WasmFeatures) -> bool,
) -> Option<&'static (WasmFeatures, &'static str)> {
    let without = |n_proposals: usize| {
        let off = PROPOSALS[..n_proposals].iter();
        off.fold(WasmFeatures::all(), |on, (proposal, _)| on.difference(*proposal)).union(FEATURES)
    };
    if !is_valid(without(0)) {
        return None;
    }
    // Valid without so many, and not valid without so many: without any it is not, or nobody would ask.
    let (mut valid, mut invalid) = (0, PROPOSALS.len());
    while invalid - valid > 1 {
        let middle = usize::midpoint(valid, invalid);
        match is_valid(without(middle)) {
            true => valid = middle,
            false => invalid = middle,
        }
    }
    PROPOSALS.get(valid)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_proposal_is_found_in_few_validations() {
        for (proposal, name) in PROPOSALS {
            let n_validations = Cell::new(0);
            let found = first_needed(|features| {
                n_validations.set(n_validations.get() + 1);
                features.contains(*proposal) || FEATURES.contains(*proposal)
            });
            if !FEATURES.contains(*proposal) {
                assert_eq!(found.map(|(_, found)| *found), Some(*name));
            }
            assert!(n_validations.get() <= 6, "{name}: {}", n_validations.get());
        }
        assert!(first_needed(|_| false).is_none(), "invalid for another reason");
    }
}
