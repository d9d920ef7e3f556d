//! `source/items`

use syn::Item;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/items",
        stage: Stage::Source,
        what: "items other than functions, constants, use, struct, enum, type and impl: static, trait, union, …",
        why: "a loss remembers nothing, and traits with dyn are how safe code has been made unsound",
        hint: "write functions; make a static a const; make a trait's method a function that is generic over Scalar",
        rejected: Example::Source("static CALLS: u32 = 0;"),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let mut finder = Finder(None);
        finder.visit_file(&parsed.file);
        finder.0
    },
};

struct Finder(Option<Offence>);

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        let offence = forbidden(item)
            .map(|name| Offence::at(&item.span(), format!("{name} is not allowed here")));
        self.0 = self.0.take().or(offence);
        visit::visit_item(self, item);
    }
}

/// Modules and macros have rules of their own.
fn forbidden(item: &Item) -> Option<&'static str> {
    match item {
        Item::Const(_) | Item::Enum(_) | Item::Fn(_) | Item::Impl(_) | Item::Struct(_) => None,
        Item::Type(_) | Item::Use(_) | Item::Macro(_) | Item::Mod(_) => None,
        Item::Static(_) => Some("a static"),
        Item::Trait(_) | Item::TraitAlias(_) => Some("a trait"),
        Item::Union(_) => Some("a union"),
        _ => Some("this item"),
    }
}
