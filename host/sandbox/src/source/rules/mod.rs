//! The rules of the source gate, one file each: a page, two examples, and what finds an offence.
//!
//! A rule looks at the text, at the tokens or at the tree; a list for each says in which order.

mod attributes;
mod casts;
mod declares_a_loss;
mod hidden_characters;
mod items;
mod lookalikes;
mod macro_arguments;
mod macros;
mod nesting;
mod no_env;
mod no_extern;
mod no_include;
mod no_macro_definitions;
mod no_modules;
mod no_pointers;
mod no_unsafe;
mod no_unsound_types;
mod paths;
pub(super) mod size;
pub(crate) mod syntax;

use super::tokens::Token;
use super::{Offence, Parsed};
use crate::rules::Rule;

/// A page and what finds the first offence against it.
pub(crate) struct SourceRule<T: ?Sized> {
    pub(super) page: Rule,
    pub(super) find: fn(&T) -> Option<Offence>,
}

/// Before anything reads the text.
pub(super) const ON_TEXT: &[SourceRule<str>] = &[size::RULE, hidden_characters::RULE];

/// Before anything recurses.
pub(super) const ON_TOKENS: &[SourceRule<[Token]>] = &[nesting::RULE, lookalikes::RULE];

/// In the order in which they are tried: the most telling name comes first.
pub(super) const ON_TREE: &[SourceRule<Parsed>] = &[
    no_include::RULE,
    no_env::RULE,
    no_unsafe::RULE,
    no_pointers::RULE,
    no_extern::RULE,
    no_modules::RULE,
    no_macro_definitions::RULE,
    macros::RULE,
    attributes::RULE,
    items::RULE,
    no_unsound_types::RULE,
    paths::RULE,
    macro_arguments::RULE,
    declares_a_loss::RULE,
];

/// Every page of this gate that a one-file loss can break.
pub(crate) fn pages() -> impl Iterator<Item = Rule> {
    let on_text = ON_TEXT.iter().map(|rule| rule.page);
    on_text
        .chain([syntax::PAGE])
        .chain(ON_TOKENS.iter().map(|rule| rule.page))
        .chain(ON_TREE.iter().map(|rule| rule.page))
}

/// The accepted example of most rules.
pub(crate) const PLAIN_LOSS: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "example",
    summary: "negative log-sigmoid of the scaled margin",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
"#;
