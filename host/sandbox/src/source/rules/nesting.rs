//! `source/nesting`

use proc_macro2::Delimiter;

use super::super::tokens::{Kind, Token};
use super::SourceRule;
use crate::Stage;
use crate::limits::{
    SOURCE_CHAIN_MAX, SOURCE_MARK_RUN_MAX, SOURCE_NESTING_MAX, SOURCE_NUMBER_CHARACTERS_MAX,
    SOURCE_TOKENS_MAX,
};
use crate::rules::{Example, Rule};
use crate::source::Offence;

pub(super) const RULE: SourceRule<[Token]> = SourceRule {
    page: Rule {
        name: "source/nesting",
        stage: Stage::Source,
        what: "brackets more than 64 deep, more than 32 operators in a row, more than 512 tokens in one expression or one chain of \
         else if, more than 16,384 tokens, numbers of more than 400 characters",
        why: "compilers recurse, and 3,000 brackets or 2,000 times return are enough to crash one; a number of 60,000 digits takes a parser seconds",
        hint: "name intermediate results with let",
        rejected: Example::Source("const DEPTH: i32 = ----------------------------------------1;"),
        accepted: Example::PLAIN,
    },
    find: |tokens| {
        too_many(tokens)
            .or_else(|| too_long(tokens))
            .or_else(|| too_deep(tokens))
            .or_else(|| too_chained(tokens))
    },
};

fn too_many(tokens: &[Token]) -> Option<Offence> {
    let first_beyond = tokens.get(SOURCE_TOKENS_MAX)?;
    let message =
        format!("the file has {} tokens, expected at most {SOURCE_TOKENS_MAX}", tokens.len());
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
        run = if matches!(token.kind, Kind::Mark(_)) { run + 1 } else { 0 };
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

/// What nests without brackets: `return return …`, `x.f().f()…`, `1 + 1 + …`, `|x| |y| …`, `if … else if …`.
///
/// Which of the tokens nest is for a parser to say. This counts all that may: those since the last end of a statement
/// or of an element, at the place itself and before each bracket that is open there.
fn too_chained(tokens: &[Token]) -> Option<Offence> {
    let first_beyond = beyond(tokens, SOURCE_CHAIN_MAX)?;
    let message = format!("more than {SOURCE_CHAIN_MAX} tokens in one expression");
    Some(Offence::on(first_beyond, message))
}

fn beyond(tokens: &[Token], n_tokens_max: usize) -> Option<&Token> {
    let mut open = vec![Chain::within(Delimiter::None)];
    let mut n_outside = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        let chain = open.last_mut()?;
        match token.kind {
            Kind::Open(bracket) => {
                chain.n_tokens += 1;
                n_outside += chain.n_tokens;
                open.push(Chain::within(bracket));
            }
            Kind::Close => {
                let is_block = chain.bracket == Delimiter::Brace;
                open.pop();
                let around = open.last_mut()?;
                n_outside -= around.n_tokens;
                if is_block && !goes_on(tokens.get(index + 1)) {
                    around.restart();
                }
            }
            _ => chain.add(token),
        }
        if n_outside + open.last()?.n_tokens > n_tokens_max {
            return Some(token);
        }
    }
    None
}

/// The tokens since the last `;` or `,` between the same brackets.
struct Chain {
    bracket: Delimiter,
    n_tokens: usize,
    /// `<` that no `>` closed: a `,` among the arguments of a type ends no expression.
    n_angles: usize,
    /// Whether a `|` is open: a `,` among the parameters of a closure ends none either.
    in_parameters: bool,
    last: Option<char>,
}

impl Chain {
    fn within(bracket: Delimiter) -> Self {
        Chain { bracket, n_tokens: 0, n_angles: 0, in_parameters: false, last: None }
    }

    fn restart(&mut self) {
        *self = Chain::within(self.bracket);
    }

    fn add(&mut self, token: &Token) {
        self.n_tokens += 1;
        let mark = match token.kind {
            Kind::Mark(mark) => Some(mark),
            _ => None,
        };
        match (self.last, mark) {
            // The arrow of an arm: a `|` before it was of a pattern.
            (Some('='), Some('>')) => self.in_parameters = false,
            (Some('-'), Some('>')) => {}
            (_, Some('<')) => self.n_angles += 1,
            (_, Some('>')) => self.n_angles = self.n_angles.saturating_sub(1),
            (_, Some('|')) => self.in_parameters = !self.in_parameters,
            (_, Some(';')) => return self.restart(),
            (_, Some(',')) if self.n_angles == 0 && !self.in_parameters => return self.restart(),
            _ => {}
        }
        self.last = mark;
    }
}

/// Whether what follows a block may belong to the same expression; else it is another statement, item or arm.
fn goes_on(next: Option<&Token>) -> bool {
    match next.map(|next| &next.kind) {
        None | Some(Kind::RawWord(_) | Kind::Number(_) | Kind::Text(_) | Kind::Mark('#')) => false,
        Some(Kind::Word(word)) => matches!(word.as_str(), "as" | "else" | "in" | "where"),
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::source::tokens::flatten;

    #[test]
    fn published_losses_stay_far_below_the_limit_of_chains() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let mut n_files = 0;
        for entry in fs::read_dir(plugins).expect("listed") {
            let path = entry.expect("listed").path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("read");
                let tokens = flatten(text.parse().expect("tokens"));
                let found = beyond(&tokens, SOURCE_CHAIN_MAX / 4);
                assert!(found.is_none(), "{}: {found:?}", path.display());
                n_files += 1;
            }
        }
        assert!(n_files > 10, "the plugins are there");
    }
}
