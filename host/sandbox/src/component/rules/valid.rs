//! `component/valid`

use wasmparser::{BinaryReaderError, Parser, Validator};

use super::page;
use crate::Rejection;
use crate::component::FEATURES;
use crate::rules::Rule;

pub(crate) const PAGE: Rule = page(
    "component/valid",
    "bytes that are not a valid component, or need WebAssembly proposals that a loss does not",
    "threads, exceptions, memory64 or relaxed SIMD widen the wall and may make results differ between machines",
    "build for wasm32-wasip2 without target features",
    "(component (core module (memory 1 1 shared)))",
);

pub(in crate::component) fn check(bytes: &[u8]) -> Result<(), Rejection> {
    if !Parser::is_component(bytes) {
        return Err(PAGE.rejection("this is not a WebAssembly component"));
    }
    let valid = Validator::new_with_features(FEATURES).validate_all(bytes);
    valid.map(drop).map_err(|error| invalid(&error))
}

pub(in crate::component) fn invalid(error: &BinaryReaderError) -> Rejection {
    PAGE.rejection(format!("{} (at byte {})", error.message(), error.offset()))
}
