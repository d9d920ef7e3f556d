//! `component/valid`

use wasmparser::types::Types;
use wasmparser::{BinaryReaderError, Parser, Validator};

use super::{page, proposals};
use crate::Rejection;
use crate::component::FEATURES;
use crate::rules::Rule;

pub(crate) const PAGE: Rule = page(
    "component/valid",
    "bytes that are not a valid component",
    "wasmtime compiles nothing that a second reader did not check",
    "build for wasm32-wasip2, or wrap a module with wit-component",
    "(module)",
);

pub(in crate::component) fn check(bytes: &[u8]) -> Result<Types, Rejection> {
    if !Parser::is_component(bytes) {
        return Err(PAGE.rejection("this is not a WebAssembly component"));
    }
    Validator::new_with_features(FEATURES)
        .validate_all(bytes)
        .map_err(|error| proposals::named(bytes, &error).unwrap_or_else(|| invalid(&error)))
}

pub(in crate::component) fn invalid(error: &BinaryReaderError) -> Rejection {
    let message: String = error
        .message()
        .chars()
        .take(512)
        .flat_map(char::escape_debug)
        .collect();
    PAGE.rejection(format!("{message} (at byte {})", error.offset()))
}
