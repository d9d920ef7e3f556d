//! `source/nesting`

use super::super::tokens::{Kind, Token};
use super::{SourceRule, page};
use crate::limits::{
    SOURCE_MARK_RUN_MAX, SOURCE_NESTING_MAX, SOURCE_NUMBER_CHARACTERS_MAX, SOURCE_TOKENS_MAX,
};
use crate::source::Offence;

pub(super) const RULE: SourceRule<[Token]> = SourceRule {
    page: page(
        "source/nesting",
        "brackets more than 64 deep, more than 32 operators in a row, more than 16,384 tokens, numbers of more than 400 characters",
        "compilers recurse, and 3,000 brackets are enough to crash one; a number of 60,000 digits takes a parser seconds",
        "name intermediate results with let",
        "const DEPTH: i32 = ----------------------------------------1;",
    ),
    find: |tokens| {
        too_many(tokens)
            .or_else(|| too_long(tokens))
            .or_else(|| too_deep(tokens))
    },
};

fn too_many(tokens: &[Token]) -> Option<Offence> {
    let first_beyond = tokens.get(SOURCE_TOKENS_MAX)?;
    let message = format!(
        "the file has {} tokens, expected at most {SOURCE_TOKENS_MAX}",
        tokens.len()
    );
    Some(Offence::on(first_beyond, message))
}

/// Whoever reads a decimal number digit by digit takes time with the square of its length.
fn too_long(tokens: &[Token]) -> Option<Offence> {
    tokens.iter().find_map(|token| match token.kind {
        Kind::Number(characters) if characters > SOURCE_NUMBER_CHARACTERS_MAX => {
            let message = format!(
                "a number of {characters} characters, expected at most {SOURCE_NUMBER_CHARACTERS_MAX}"
            );
            Some(Offence::on(token, message))
        }
        _ => None,
    })
}

fn too_deep(tokens: &[Token]) -> Option<Offence> {
    let (mut depth, mut run) = (0_usize, 0_usize);
    tokens.iter().find_map(|token| {
        run = if matches!(token.kind, Kind::Mark(_)) {
            run + 1
        } else {
            0
        };
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        if depth > SOURCE_NESTING_MAX {
            let message = format!("brackets are nested more than {SOURCE_NESTING_MAX} deep");
            return Some(Offence::on(token, message));
        }
        let message = format!("more than {SOURCE_MARK_RUN_MAX} operators in a row");
        (run > SOURCE_MARK_RUN_MAX).then(|| Offence::on(token, message))
    })
}
