//! `source/lookalikes`

use super::super::tokens::Token;
use super::SourceRule;
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

/// Greek letters that look like Latin ones.
const GREEK_AS_LATIN: &str = "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο";

pub(super) const RULE: SourceRule<[Token]> = SourceRule {
    page: Rule {
        name: "source/lookalikes",
        stage: Stage::Source,
        what: "names with letters of other alphabets than Latin and Greek, and Greek letters that look like Latin ones",
        why: "two names that look the same and are not make a file look different from what compiles",
        hint: "name things in English; β, ρ, σ and their like are fine, in comments everything visible is",
        rejected: Example::Source("fn f(p\u{430}ir: f64) -> f64 { p\u{430}ir }"),
        accepted: Example::PLAIN,
    },
    find: |tokens| {
        tokens.iter().find_map(|token| {
            let letter = token.name()?.chars().find(|letter| !is_plain(*letter))?;
            let code = u32::from(letter);
            let message = format!("the letter {letter:?} (U+{code:04X}) is not allowed in a name");
            Some(Offence::on(token, message))
        })
    },
};

fn is_plain(letter: char) -> bool {
    let greek = matches!(letter, '\u{391}'..='\u{3c9}') && !GREEK_AS_LATIN.contains(letter);
    letter.is_ascii() || greek || matches!(letter, 'µ' | '\u{c0}'..='\u{17e}')
}
