//! The compiler's complaints, trimmed to what an author can act on: the errors in their own file.

use std::path::Path;

use serde::Deserialize;

use super::rules::RUSTC;
use crate::printable::name_of;
use crate::{Rejection, Span};

/// Errors that go into one rejection.
const ERRORS_MAX: usize = 4;
const MESSAGE_CHARACTERS_MAX: usize = 4_000;

/// Whose files are the author's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Author {
    /// `loss.rs`.
    OneFile,
    /// Everything below `src`.
    Crate,
}

#[derive(Deserialize)]
struct Diagnostic {
    message: String,
    level: String,
    code: Option<Code>,
    spans: Vec<DiagnosticSpan>,
    children: Vec<Child>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Child {
    message: String,
    level: String,
}

#[derive(Deserialize)]
struct DiagnosticSpan {
    file_name: String,
    line_start: usize,
    column_start: usize,
    is_primary: bool,
    label: Option<String>,
    expansion: Option<Box<Expansion>>,
}

/// Where the macro was called that made the code in question.
#[derive(Deserialize)]
struct Expansion {
    span: DiagnosticSpan,
}

/// What is wrong with the candidate, from the compiler's JSON lines.
pub(super) fn rejection(stderr: &str, author: Author) -> Rejection {
    let errors: Vec<Diagnostic> = stderr
        .lines()
        .filter_map(|line| serde_json::from_str::<Diagnostic>(line).ok())
        .filter(|diagnostic| diagnostic.level.starts_with("error"))
        .filter(|diagnostic| !diagnostic.message.starts_with("aborting"))
        .collect();
    let texts: Vec<String> =
        errors.iter().take(ERRORS_MAX).map(|error| text(error, author)).collect();
    let message: String = texts.join("\n").chars().take(MESSAGE_CHARACTERS_MAX).collect();
    let rejection = RUSTC.rejection(message);
    match errors.iter().find_map(|error| place(error, author)) {
        Some((span, _)) => rejection.at(Span { line: span.line_start, column: span.column_start }),
        None => rejection,
    }
}

/// The author's line that an error is about, and what the compiler wrote beside it.
fn place(diagnostic: &Diagnostic, author: Author) -> Option<(&DiagnosticSpan, Option<&str>)> {
    diagnostic
        .spans
        .iter()
        .filter(|span| span.is_primary)
        .find_map(|span| Some((authors(span, author)?, span.label.as_deref())))
}

/// The span, or the macro call in the author's file that it comes from.
fn authors(span: &DiagnosticSpan, author: Author) -> Option<&DiagnosticSpan> {
    let mut span = span;
    loop {
        let is_theirs = match author {
            Author::OneFile => span.file_name == "loss.rs",
            Author::Crate => span.file_name.starts_with("src/"),
        };
        if is_theirs {
            return Some(span);
        }
        span = &span.expansion.as_ref()?.span;
    }
}

fn text(diagnostic: &Diagnostic, author: Author) -> String {
    let place = place(diagnostic, author);
    let mut text = match (&place, author) {
        (None, _) => String::new(),
        (Some((span, _)), Author::OneFile) => format!("line {}: ", span.line_start),
        (Some((span, _)), Author::Crate) => {
            format!("{} line {}: ", name_of(Path::new(&span.file_name)), span.line_start)
        }
    };
    text.push_str(&diagnostic.message);
    if let Some(code) = &diagnostic.code {
        text.push_str(&format!(" [{}]", code.code));
    }
    if let Some((_, Some(label))) = place {
        text.push_str(&format!(" ({label})"));
    }
    if let Some(help) = diagnostic
        .children
        .iter()
        .find(|child| child.level == "help" && !child.message.contains("#!["))
    {
        text.push_str(&format!("; help: {}", help.message));
    }
    if diagnostic.message.contains("lang item `panic_impl`") {
        text.push_str("; help: begin src/lib.rs with #![no_std], as the SDK brings what std would");
    }
    if diagnostic.message.contains("recursion limit") {
        text.push_str(
            "; help: the limit is fixed: make types, constants and functions recurse less deeply",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_MACRO: &str = r#"{"message":"cannot find function `loss`","level":"error","code":{"code":"E0425"},
        "spans":[{"file_name":"sdk/macros.rs","line_start":78,"column_start":1,"is_primary":true,"label":"not found",
        "expansion":{"span":{"file_name":"loss.rs","line_start":4,"column_start":1,"is_primary":false,"label":null,
        "expansion":null}}}],"children":[{"message":"import it","level":"help"}]}"#;

    #[test]
    fn an_error_within_a_macro_stands_where_the_author_called_it() {
        let rejection = rejection(&IN_MACRO.replace('\n', " "), Author::OneFile);
        assert_eq!(rejection.span, Some(Span { line: 4, column: 1 }));
        assert_eq!(
            rejection.message,
            "line 4: cannot find function `loss` [E0425] (not found); help: import it"
        );
    }

    #[test]
    fn attributes_that_no_author_may_write_are_not_recommended() {
        let line = r##"{"message":"recursion limit reached while expanding","level":"error","code":null,"spans":[],
            "children":[{"message":"consider `#![recursion_limit = \"256\"]`","level":"help"}]}"##;
        let rejection = rejection(&line.replace('\n', " "), Author::OneFile);
        assert!(!rejection.message.contains("#!["), "{}", rejection.message);
        assert!(rejection.message.contains("recurse less deeply"));
    }

    #[test]
    fn terminal_sequences_do_not_reach_the_terminal() {
        let line =
            r#"{"message":"\u001b[2J done","level":"error","code":null,"spans":[],"children":[]}"#;
        assert_eq!(rejection(line, Author::OneFile).message, "\u{fffd}[2J done");
    }
}
