//! The tokens of a file in one flat list, so that a rule sees into the arguments of macros and attributes.
//!
//! A macro's arguments are not parsed by `syn`; a rule that only walked the tree would be blind there.
//! Raw identifiers lose their `r#`: `r#include_str` is `include_str`. Nothing here recurses: the list is
//! made before anybody knows how deep the file is.

use proc_macro2::{Delimiter, Literal, Span, TokenStream, TokenTree};
use syn::Lit;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword, without `r#`.
    Word(String),
    /// An identifier that was written with `r#`: never a keyword.
    RawWord(String),
    /// One character of punctuation.
    Mark(char),
    /// An opening bracket; its contents follow.
    Open(Delimiter),
    /// A closing bracket.
    Close,
    /// A number, of so many characters.
    Number(usize),
    /// A text or a character, as its value says, without the escapes.
    Text(String),
}

/// A token and its place.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

impl Token {
    /// The identifier, raw or not.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(name) | Kind::RawWord(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it is this keyword.
    pub(crate) fn is_keyword(&self, keyword: &str) -> bool {
        matches!(&self.kind, Kind::Word(word) if word == keyword)
    }

    pub(crate) fn is_mark(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    pub(crate) fn opens(&self) -> bool {
        matches!(self.kind, Kind::Open(_))
    }
}

/// All tokens in order, with an opening and a closing token around every group.
pub(super) fn flatten(stream: TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut open = vec![(stream.into_iter(), None)];
    while let Some((trees, close)) = open.last_mut() {
        let Some(tree) = trees.next() else {
            tokens.extend(close.map(|span| Token { kind: Kind::Close, span }));
            open.pop();
            continue;
        };
        let span = tree.span();
        let kind = match tree {
            TokenTree::Ident(ident) => word(&ident.to_string()),
            TokenTree::Punct(mark) => Kind::Mark(mark.as_char()),
            TokenTree::Literal(literal) => literal_kind(literal),
            TokenTree::Group(group) => {
                tokens.push(Token { kind: Kind::Open(group.delimiter()), span: group.span_open() });
                open.push((group.stream().into_iter(), Some(group.span_close())));
                continue;
            }
        };
        tokens.push(Token { kind, span });
    }
    tokens
}

fn literal_kind(literal: Literal) -> Kind {
    let text = literal.to_string();
    if text.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        return Kind::Number(text.len());
    }
    match Lit::new(literal) {
        Lit::Str(value) => Kind::Text(value.value()),
        _ => Kind::Text(text),
    }
}

fn word(text: &str) -> Kind {
    match text.strip_prefix("r#") {
        Some(name) => Kind::RawWord(name.to_owned()),
        None => Kind::Word(text.to_owned()),
    }
}

/// A macro that is called, by the name that is written and by every name that a `use … as` says it stands for.
pub(crate) struct MacroCall<'a> {
    pub(crate) names: Vec<&'a str>,
    pub(crate) place: &'a Token,
}

/// All macros that are called, wherever: `name ! (…)`, `name ! […]`, `name ! {…}`.
///
/// Renaming is taken to hold in the whole file: which scope a call sees is the compiler's business, and a macro that
/// is renamed anywhere answers for both names.
pub(crate) fn macro_calls(tokens: &[Token]) -> impl Iterator<Item = MacroCall<'_>> {
    let renamed = renamed(tokens);
    tokens.windows(3).filter_map(move |window| {
        let written = called_name(window)?;
        let stands_for = renamed.iter().filter(|(_, alias)| *alias == written);
        let names = std::iter::once(written).chain(stands_for.map(|(name, _)| *name));
        Some(MacroCall { names: names.collect(), place: &window[0] })
    })
}

/// The name before `!` and an opening bracket.
fn called_name(tokens: &[Token]) -> Option<&str> {
    let [name, mark, bracket, ..] = tokens else {
        return None;
    };
    let called = mark.is_mark('!') && bracket.opens();
    let negation = KEYWORDS_BEFORE_NOT.iter().any(|keyword| name.is_keyword(keyword));
    name.name().filter(|_| called && !negation)
}

/// Every token in the arguments of every macro that is called, with what follows it.
pub(crate) fn in_macros(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut depth = 0_usize;
    (0..tokens.len()).filter_map(move |index| {
        let token = &tokens[index];
        let begins = index >= 2 && called_name(&tokens[index - 2..]).is_some();
        match token.kind {
            Kind::Open(_) if depth > 0 || begins => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth > 0).then(|| &tokens[index..])
    })
}

/// Every call of one of these macros, and every import of one: (its name, its place).
pub(crate) fn macros_named<'a>(
    tokens: &'a [Token],
    names: &'a [&'a str],
) -> Option<(&'a str, &'a Token)> {
    let calls = macro_calls(tokens).find_map(|call| {
        let name = call.names.into_iter().find(|name| names.contains(name))?;
        Some((name, call.place))
    });
    calls.or_else(|| {
        imports(tokens).find_map(|import| {
            let is_last = import.get(1).is_none_or(|next| !next.is_mark(':'));
            let name = import[0].name().filter(|_| is_last)?;
            names.contains(&name).then_some((name, &import[0]))
        })
    })
}

/// (name, alias) of every `name as alias` in a `use`.
fn renamed(tokens: &[Token]) -> Vec<(&str, &str)> {
    let renaming = |rest: &[Token]| rest.len() >= 3 && rest[1].is_keyword("as");
    imports(tokens)
        .filter(|rest| renaming(rest))
        .filter_map(|rest| Some((rest[0].name()?, rest[2].name()?)))
        .collect()
}

/// Every token of every `use … ;`, with what follows it.
fn imports(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut inside = false;
    (0..tokens.len()).filter_map(move |index| {
        let token = &tokens[index];
        inside = token.is_keyword("use") || (inside && !token.is_mark(';'));
        inside.then(|| &tokens[index..])
    })
}

/// After these, `!` is a negation: `return !(a && b)`.
const KEYWORDS_BEFORE_NOT: [&str; 9] =
    ["return", "if", "while", "match", "in", "else", "break", "as", "move"];
