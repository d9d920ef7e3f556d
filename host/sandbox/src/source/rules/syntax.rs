//! `source/syntax`: not a rule of ours but of the language. The lexer and the parser find the offence.

use syn::visit::{self, Visit};
use syn::{Expr, ImplItem, Pat, Type};

use crate::printable::shown;
use crate::rules::{Example, Rule};
use crate::source::{Offence, span_of};
use crate::{Rejection, Span, Stage};

pub(crate) const PAGE: Rule = Rule {
    name: "source/syntax",
    stage: Stage::Source,
    what: "text that is not Rust",
    why: "what cannot be parsed cannot be audited",
    hint: "send one complete Rust file",
    rejected: Example::Source("fn loss( -> Dual {}"),
    accepted: Example::PLAIN,
};

pub(in crate::source) fn not_tokens(text: &str, error: &proc_macro2::LexError) -> Rejection {
    let span = span_of(error.span());
    let line = text.lines().nth(span.line - 1).unwrap_or_default();
    let rest: String = line.chars().skip(span.column - 1).collect();
    Offence::in_text(span, format!("this is not Rust: {}", no_token(&rest))).against(&PAGE)
}

/// Why no token begins here.
fn no_token(rest: &str) -> String {
    let word = |text: &str| -> String {
        let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
        text.chars().take_while(is_part).collect()
    };
    if let Some(name) = rest.strip_prefix("r#").map(word)
        && ["crate", "self", "Self", "super", "_"].contains(&name.as_str())
    {
        return format!("{name} cannot be written as r#{name}: take another name");
    }
    match rest.chars().next() {
        Some(first) if !first.is_alphanumeric() && !"()[]{}\"'/".contains(first) => {
            let code = u32::from(first);
            format!(
                "the character {} (U+{code:04X}) has no place here: names are letters, digits and _",
                shown(first)
            )
        }
        _ => "a bracket, a string or a character does not end".to_owned(),
    }
}

pub(in crate::source) fn not_rust(error: &syn::Error) -> Rejection {
    Offence::in_text(span_of(error.span()), format!("this is not Rust: {error}")).against(&PAGE)
}

/// What the parser took without reading it, as it does with syntax that is not stable: no rule would see into it.
pub(in crate::source) fn unread(file: &syn::File) -> Result<(), Rejection> {
    let mut unread = Unread(None);
    unread.visit_file(file);
    unread.0.map_or(Ok(()), |offence| Err(offence.against(&PAGE)))
}

struct Unread(Option<Offence>);

impl Unread {
    fn found(&mut self, tokens: &proc_macro2::TokenStream) {
        let message = "this is no syntax of stable Rust: write it in another way";
        self.0 = self.0.take().or_else(|| Some(Offence::at(tokens, message)));
    }
}

impl<'ast> Visit<'ast> for Unread {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Verbatim(tokens) => self.found(tokens),
            _ => visit::visit_expr(self, expr),
        }
    }

    fn visit_pat(&mut self, pat: &'ast Pat) {
        match pat {
            Pat::Verbatim(tokens) => self.found(tokens),
            _ => visit::visit_pat(self, pat),
        }
    }

    fn visit_type(&mut self, written: &'ast Type) {
        match written {
            Type::Verbatim(tokens) => self.found(tokens),
            _ => visit::visit_type(self, written),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        match item {
            ImplItem::Verbatim(tokens) => self.found(tokens),
            _ => visit::visit_impl_item(self, item),
        }
    }
}

/// A file that is not UTF-8.
pub(crate) fn not_text() -> Rejection {
    let start = Span { line: 1, column: 1 };
    Offence::in_text(start, "the file is not UTF-8 text").against(&PAGE)
}
