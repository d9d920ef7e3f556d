//! `source/syntax`: not a rule of ours but of the language. The lexer and the parser find the offence.

use super::page;
use crate::rules::Rule;
use crate::source::{Offence, span_of};
use crate::{Rejection, Span};

pub(crate) const PAGE: Rule = page(
    "source/syntax",
    "text that is not Rust",
    "what cannot be parsed cannot be audited",
    "send one complete Rust file",
    "fn loss( -> Dual {}",
);

pub(in crate::source) fn not_tokens(error: &proc_macro2::LexError) -> Rejection {
    Offence::in_text(
        span_of(error.span()),
        "this is not Rust: a bracket, a string or a character does not end",
    )
    .against(&PAGE)
}

pub(in crate::source) fn not_rust(error: &syn::Error) -> Rejection {
    Offence::in_text(span_of(error.span()), format!("this is not Rust: {error}")).against(&PAGE)
}

/// A file that is not UTF-8.
pub(crate) fn not_text() -> Rejection {
    let start = Span { line: 1, column: 1 };
    Offence::in_text(start, "the file is not UTF-8 text").against(&PAGE)
}
