//! `component/valid`

use wasmparser::types::Types;
use wasmparser::{BinaryReaderError, Parser, Validator};

use super::proposals;
use crate::component::FEATURES;
use crate::rules::{Example, Rule};
use crate::{Rejection, Stage};

pub(crate) const PAGE: Rule = Rule {
    name: "component/valid",
    stage: Stage::Component,
    what: "bytes that are not a valid component",
    why: "wasmtime compiles nothing that a second reader did not check",
    hint: "build for wasm32-wasip2, or wrap a module with wit-component",
    rejected: Example::Component("(module)"),
    accepted: Example::PLAIN,
};

pub(in crate::component) fn check(bytes: &[u8]) -> Result<Types, Rejection> {
    Validator::new_with_features(FEATURES)
        .validate_all(bytes)
        .map_err(|error| proposals::named(bytes, &error).unwrap_or_else(|| invalid(&error)))
}

/// Nothing but a component has sections that can be counted.
pub(in crate::component) fn is_component(bytes: &[u8]) -> Result<(), Rejection> {
    match Parser::is_component(bytes) {
        true => Ok(()),
        false => Err(PAGE.rejection("this is not a WebAssembly component")),
    }
}

/// The validator ended in a panic, as wasmparser 0.254 does on types that refer to each other in a long chain.
pub(in crate::component) fn given_up() -> Rejection {
    PAGE.rejection(
        "the validator cannot cope with it: types refer to types more deeply than it can count",
    )
}

pub(in crate::component) fn invalid(error: &BinaryReaderError) -> Rejection {
    let message: String = error.message().chars().take(512).flat_map(char::escape_debug).collect();
    PAGE.rejection(format!("{message} (at byte {})", error.offset()))
}
