//! Gate 1: the source audit. An allow-list: what is not known to be harmless is refused.
//!
//! The rules look at the text, then at its tokens, then at its tree, so that nothing recurses over a file
//! before its depth is known. Nothing is found by searching text: an identifier may contain the word
//! `unsafe`. The audit is not the wall: the component and the process around it are.

mod folder;
mod parent_workspace;
pub(crate) mod rules;
mod tokens;

use std::thread;

use proc_macro2::TokenStream;
use syn::spanned::Spanned;

use crate::limits::SOURCE_STACK_BYTES;
use crate::{Rejection, Span};

pub use folder::{AuditedCrate, CrateSource, audit_crate};
pub(crate) use folder::{CRATE_RULES, PLAIN_MANIFEST, PLAIN_ROOT, is_a_link};
pub(crate) use rules::syntax::not_text;

/// A candidate's source as it was proposed.
#[derive(Debug, Clone)]
pub struct Source {
    text: String,
}

impl Source {
    /// The text of a one-file loss.
    pub fn one_file(text: &str) -> Self {
        Source { text: text.to_owned() }
    }
}

/// Source that kept every rule of the source gate. Only [`audit`] makes one.
#[derive(Debug, Clone)]
pub struct AuditedSource {
    source: Source,
}

impl AuditedSource {
    /// The text.
    pub fn text(&self) -> &str {
        &self.source.text
    }
}

/// Holds the source against every rule of this gate.
///
/// # Errors
/// The first rule that the source breaks, with its place.
pub fn audit(source: Source) -> Result<AuditedSource, Rejection> {
    audit_text(&source.text, Form::OneFile)?;
    Ok(AuditedSource { source })
}

/// What a file is part of: a crate may have modules and a wrapper of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    OneFile,
    Crate,
}

/// A file as the rules see it: its tree, and its tokens including those that the tree leaves unparsed.
pub(crate) struct Parsed {
    file: syn::File,
    tokens: Vec<tokens::Token>,
    form: Form,
}

/// All rules, on a thread whose stack is deep enough for every file that the token limit lets pass.
fn audit_text(text: &str, form: Form) -> Result<(), Rejection> {
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(SOURCE_STACK_BYTES)
            .spawn_scoped(scope, || audit_on_this_stack(text, form))
            .expect("the machine can start one more thread")
            .join()
            .expect("the rules do not panic")
    })
}

fn audit_on_this_stack(text: &str, form: Form) -> Result<(), Rejection> {
    first_offence(rules::ON_TEXT, text)?;
    let stream: TokenStream =
        text.parse().map_err(|error| rules::syntax::not_tokens(text, &error))?;
    let tokens = tokens::flatten(stream.clone());
    first_offence(rules::ON_TOKENS, &tokens)?;
    let file = syn::parse2(stream).map_err(|error| rules::syntax::not_rust(&error))?;
    rules::syntax::unread(&file)?;
    first_offence(rules::ON_TREE, &Parsed { file, tokens, form })
}

fn first_offence<T: ?Sized>(rules: &[rules::SourceRule<T>], subject: &T) -> Result<(), Rejection> {
    rules.iter().try_for_each(|rule| match (rule.find)(subject) {
        None => Ok(()),
        Some(offence) => Err(offence.against(&rule.page)),
    })
}

/// What a rule found, and where.
pub(crate) struct Offence {
    message: String,
    span: Span,
}

impl Offence {
    pub(crate) fn at(place: &impl Spanned, message: impl Into<String>) -> Self {
        Offence { message: message.into(), span: span_of(place.span()) }
    }

    pub(crate) fn on(token: &tokens::Token, message: impl Into<String>) -> Self {
        Offence { message: message.into(), span: span_of(token.span) }
    }

    pub(crate) fn in_text(span: Span, message: impl Into<String>) -> Self {
        Offence { message: message.into(), span }
    }

    fn against(self, page: &crate::rules::Rule) -> Rejection {
        page.rejection(self.message).at(self.span)
    }
}

fn span_of(span: proc_macro2::Span) -> Span {
    let start = span.start();
    Span {
        // A file without a token has a span before its first line.
        line: start.line.max(1),
        column: start.column + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Example;

    #[track_caller]
    fn check_rejected(text: &str, rule: &str) -> Rejection {
        let rejection = audit(Source::one_file(text)).expect_err(rule);
        assert_eq!(rejection.rule, rule, "{rejection:?}");
        rejection
    }

    #[track_caller]
    fn check_accepted(text: &str) {
        if let Err(rejection) = audit(Source::one_file(text)) {
            panic!("{rejection:?}");
        }
    }

    #[test]
    fn a_file_without_a_token_is_rejected_at_its_first_line() {
        for text in ["", "\n\n", "// nothing\n"] {
            let rejection = check_rejected(text, "source/declares-a-loss");
            assert_eq!(rejection.span.map(|span| span.line), Some(1), "{text:?}");
        }
    }

    #[test]
    fn every_rule_rejects_its_first_example_with_its_place_and_accepts_its_second() {
        for page in rules::pages() {
            let text = |example: Example| match example {
                Example::Source(text) => text.to_owned(),
                Example::LongSource { text, .. } => text(),
                _ => panic!("{}: an example of this gate is a source", page.name),
            };
            let rejection = check_rejected(&text(page.rejected), page.name);
            assert!(rejection.span.is_some(), "{}", page.name);
            check_accepted(&text(page.accepted));
        }
    }

    #[test]
    fn a_file_that_is_too_large_or_too_deep_is_refused_without_parsing() {
        check_rejected(&"(".repeat(1 << 20), "source/size");
        check_rejected(
            &format!("fn f() {{ {0}1{1} }}", "(".repeat(3_000), ")".repeat(3_000)),
            "source/nesting",
        );
    }

    #[test]
    fn brackets_in_comments_and_strings_hide_no_depth_and_make_none() {
        let hidden = format!("fn f() {{ {0}1{1} }}", "(/*)*/".repeat(3_000), ")".repeat(3_000));
        check_rejected(&hidden, "source/nesting");
        check_accepted(&format!("// {}\n{}", ":-( ".repeat(200), rules::PLAIN_LOSS));
    }

    /// Each of these nests without brackets: the parser and the walk over its tree must survive it.
    #[test]
    fn chains_without_brackets_do_not_overflow_the_stack() {
        let n = crate::limits::SOURCE_TOKENS_MAX / 2 - 100;
        for body in [
            format!("let x = 1{};", "+1".repeat(n)),
            format!("let x = {}1;", "y=".repeat(n)),
            format!("let x: {}f64;", "A<".repeat(n)),
            format!("{}1;", "return ".repeat(2 * n)),
            format!("let x: {}f64;", "&mut ".repeat(n)),
            format!("let x = a{};", ".b".repeat(n)),
            format!("let x = 1{};", " as A".repeat(n)),
        ] {
            let text = rules::PLAIN_LOSS.replace("    -(", &format!("    {body}\n    -("));
            // Whether it is Rust is the parser's to say; that we are still here is the test.
            let _ = audit(Source::one_file(&text));
        }
    }

    #[test]
    fn text_that_is_not_rust_is_refused_with_its_place() {
        let rejection = check_rejected("fn loss( -> f64 {}", "source/syntax");
        assert_eq!(rejection.span.map(|span| span.line), Some(1));
        let rejection = check_rejected("\n\nlet x = 1;", "source/syntax");
        assert_eq!(rejection.span.map(|span| span.line), Some(3));
    }

    /// Each with what is wrong with it, and not with what is wrong with another.
    #[test]
    fn text_without_a_token_is_refused_by_what_stands_there() {
        for (text, place, message) in [
            ("fn f() { let \u{1f980} = 1; }", (1, 14), "the character \u{1f980} (U+1F980)"),
            ("\nfn f() { a ` b; }", (2, 12), "the character ` (U+0060)"),
            ("fn f() { let r#crate = 1; }", (1, 14), "crate cannot be written as r#crate"),
            ("fn f() { let r#self = 1; }", (1, 14), "self cannot be written as r#self"),
            ("fn f() { (1; ", (1, 10), "does not end"),
            ("fn f() { \"text", (1, 10), "does not end"),
            ("fn f() } ", (1, 8), "does not end"),
        ] {
            let rejection = check_rejected(text, "source/syntax");
            let span = rejection.span.map(|span| (span.line, span.column));
            assert_eq!(span, Some(place), "{rejection:?}");
            assert!(rejection.message.contains(message), "{rejection:?}");
        }
    }
}
