//! `source/macro-arguments`
//!
//! `syn` does not parse what stands in a macro's brackets, so the rules that walk the tree are blind there. What they
//! judge is refused there by its tokens: items, types with lifetimes, `dyn`.

use super::super::tokens::{Kind, Token, in_macros};
use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

/// None of them stands in a plain expression or closure.
const KEYWORDS: [&str; 13] = [
    "dyn",
    "enum",
    "extern",
    "fn",
    "impl",
    "macro_rules",
    "mod",
    "static",
    "struct",
    "trait",
    "type",
    "unsafe",
    "use",
];

/// After these words an identifier is the name of an item; alone they begin a block or are a name themselves.
const BEFORE_A_NAME: [&str; 2] = ["const", "union"];

/// After `union`, these go on with an expression or a pattern.
const NO_NAMES: [&str; 4] = ["as", "else", "if", "in"];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/macro-arguments",
        stage: Stage::Source,
        what: "items, dyn and lifetimes in the arguments of a macro; expressions and closures are allowed",
        why: "a macro's arguments are not parsed before the macro is expanded, and what is not allowed elsewhere could hide there",
        hint: "move it out of the macro: compute the value first and give the macro its name",
        rejected: Example::Source("fn loss() { assert!({ static CALLS: u32 = 0; CALLS == 0 }); }"),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let found = |rest: &[Token]| Some(Offence::on(&rest[0], message(rest)?));
        in_macros(&parsed.tokens).find_map(found)
    },
};

fn message(rest: &[Token]) -> Option<String> {
    if is_lifetime(rest) {
        return Some("a lifetime is not allowed in the arguments of a macro".to_owned());
    }
    let Kind::Word(word) = &rest[0].kind else {
        return None;
    };
    let named = || {
        let name = rest.get(1).and_then(Token::name);
        name.is_some_and(|name| !NO_NAMES.contains(&name))
    };
    let offends =
        KEYWORDS.contains(&word.as_str()) || (BEFORE_A_NAME.contains(&word.as_str()) && named());
    offends.then(|| format!("{word} is not allowed in the arguments of a macro"))
}

/// A character is one token of text, so a lone apostrophe begins a lifetime.
fn is_lifetime(rest: &[Token]) -> bool {
    rest[0].is_mark('\'')
}
