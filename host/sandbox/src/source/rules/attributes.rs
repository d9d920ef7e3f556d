//! `source/attributes`

use syn::visit::{self, Visit};
use syn::{AttrStyle, Attribute, Expr, Lit, LitStr, Meta};

use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::tokens::Token;
use crate::source::{Form, Offence};

const ALLOWED: [&str; 6] = ["allow", "default", "derive", "doc", "inline", "must_use"];
const ALLOWED_ON_CRATES: [&str; 4] = ["no_std", "forbid", "deny", "warn"];
/// Lints of taste, like those of clippy. Others stop the compiler from computing for ever.
const ALLOWABLE: [&str; 11] = [
    "dead_code",
    "non_camel_case_types",
    "non_snake_case",
    "non_upper_case_globals",
    "unreachable_code",
    "unused",
    "unused_assignments",
    "unused_imports",
    "unused_mut",
    "unused_parens",
    "unused_variables",
];
const DERIVABLE: [&str; 9] =
    ["Clone", "Copy", "Debug", "Default", "Eq", "Hash", "Ord", "PartialEq", "PartialOrd"];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/attributes",
        stage: Stage::Source,
        what: "every attribute but allow of common lints, derive of common traits, default, doc with plain text, inline and must_use",
        why: "attributes choose files, export symbols, link libraries and run macros",
        hint: "leave the attribute out",
        rejected: Example::Source("#[no_mangle] fn loss() {}"),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let mut finder = Finder { form: parsed.form, n_attributes: 0, offence: None };
        finder.visit_file(&parsed.file);
        let n_attributes = finder.n_attributes;
        finder.offence.or_else(|| hidden(&parsed.tokens, n_attributes))
    },
};

struct Finder {
    form: Form,
    n_attributes: usize,
    offence: Option<Offence>,
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        self.n_attributes += 1;
        if self.offence.is_none() {
            self.offence = offence(attribute, self.form);
        }
        visit::visit_attribute(self, attribute);
    }
}

fn offence(attribute: &Attribute, form: Form) -> Option<Offence> {
    let name = attribute
        .path()
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect::<Vec<_>>()
        .join("::");
    let inner = matches!(attribute.style, AttrStyle::Inner(_));
    let message = match name.as_str() {
        "doc" if is_plain_text(&attribute.meta) => return None,
        "doc" => "#[doc] takes plain text only".to_owned(),
        "derive" if !inner => return forbidden_argument(attribute, &DERIVABLE, "derived"),
        "allow" if !inner => return forbidden_argument(attribute, &ALLOWABLE, "allowed"),
        known if ALLOWED.contains(&known) && !inner => return None,
        known if ALLOWED_ON_CRATES.contains(&known) && inner && form == Form::Crate => return None,
        _ => format!(
            "the attribute {name:?} is not allowed here: expected one of {}",
            ALLOWED.join(", ")
        ),
    };
    Some(Offence::at(attribute, message))
}

/// The tree has no attributes within a macro's arguments; the tokens do.
fn hidden(tokens: &[Token], n_attributes: usize) -> Option<Offence> {
    let hashes: Vec<&Token> = tokens.iter().filter(|token| token.is_mark('#')).collect();
    let last = hashes.last().filter(|_| hashes.len() > n_attributes)?;
    Some(Offence::on(
        last,
        "attributes and doc comments are not allowed in the arguments of a macro",
    ))
}

/// Whether a path is `tool::…`.
fn is_of(path: &syn::Path, tool: &str) -> bool {
    path.segments.len() == 2 && path.segments.first().is_some_and(|first| first.ident == tool)
}

fn is_plain_text(meta: &Meta) -> bool {
    let Meta::NameValue(pair) = meta else {
        return false;
    };
    matches!(&pair.value, Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)))
}

fn forbidden_argument(attribute: &Attribute, known: &[&str], verb: &str) -> Option<Offence> {
    let mut forbidden = None;
    let parsed = attribute.parse_nested_meta(|meta| {
        let is_lint = verb == "allowed";
        if is_lint && meta.path.is_ident("reason") {
            return meta.value()?.parse::<LitStr>().map(drop);
        }
        let name = meta.path.get_ident().map(ToString::to_string);
        let of_clippy = is_lint && is_of(&meta.path, "clippy");
        if !of_clippy && !name.is_some_and(|name| known.contains(&name.as_str())) {
            forbidden = Some(());
        }
        Ok(())
    });
    match (parsed, forbidden) {
        (Ok(()), None) => None,
        _ => Some(Offence::at(attribute, format!("only {} can be {verb}", known.join(", ")))),
    }
}
