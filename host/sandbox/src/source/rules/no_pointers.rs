//! `source/no-pointers`

use super::super::tokens::{Kind, Token, in_macros};
use super::{Parsed, SourceRule, casts};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

/// What gives an address away without naming a pointer type, or memory that is never given back.
const METHODS: [&str; 11] = [
    "addr",
    "as_mut_ptr",
    "as_mut_ptr_range",
    "as_non_null",
    "as_ptr",
    "as_ptr_range",
    "expose_provenance",
    "into_non_null",
    "into_raw",
    "into_raw_parts",
    "leak",
];
pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/no-pointers",
        stage: Stage::Source,
        what: "raw pointers: the types *const and *mut, &raw, as_ptr() and its like, {:p}; `as` to anything but a primitive number, \
         and to an integer from what could be a function",
        why: "an address depends on where things happen to lie, and a loss on its arguments alone; a function cast to an integer \
         is an address",
        hint: "use references and indices; to cast to an integer, name the number with its type first (let n: f64 = …; n as usize) \
         or write x as f64 as usize",
        rejected: Example::Source("fn address(x: &f64) -> usize { x as *const f64 as usize }"),
        accepted: Example::PLAIN,
    },
    find: |parsed| by_tokens(parsed).or_else(|| casts::first_offence(parsed)),
};

fn by_tokens(parsed: &Parsed) -> Option<Offence> {
    let pointer = parsed.tokens.windows(3).find(|window| is_pointer(window));
    if let Some(window) = pointer {
        let message =
            "addresses are not allowed: no raw pointers, no as_ptr(), no function pointer by as";
        return Some(Offence::on(&window[0], message));
    }
    in_macros(&parsed.tokens).find_map(|rest| match &rest[0].kind {
        Kind::Text(text) if prints_an_address(text) => {
            Some(Offence::on(&rest[0], "{:p} prints an address, which is not allowed"))
        }
        Kind::Word(word) if word == "as" && !casts_safely(rest) => Some(Offence::on(
            &rest[0],
            "in the arguments of a macro only `as f64` and `as f32` are allowed",
        )),
        _ => None,
    })
}

fn is_pointer(window: &[Token]) -> bool {
    let [first, second, third] = window else {
        return false;
    };
    let mutability = third.is_keyword("const") || third.is_keyword("mut");
    let raw_type = first.is_mark('*') && (second.is_keyword("const") || second.is_keyword("mut"));
    let raw_borrow = first.is_mark('&') && second.is_keyword("raw") && mutability;
    let method = (first.is_mark('.') || first.is_mark(':'))
        && second.name().is_some_and(|name| METHODS.contains(&name));
    raw_type || raw_borrow || method || (first.is_keyword("as") && second.is_keyword("fn"))
}

/// A function cannot be cast to a float. What is one can be cast to an integer.
fn casts_safely(from_as: &[Token]) -> bool {
    let target = from_as.get(1).and_then(Token::name);
    target.is_some_and(|target| matches!(target, "f32" | "f64"))
}

/// Whether it has a `{…:…p}`. The `p` of a name, as in `{p}` or `{top}`, stands behind a letter or the brace.
fn prints_an_address(text: &str) -> bool {
    let mut in_braces = text.split_once('{').map_or("", |(_, rest)| rest);
    in_braces = in_braces.split_once(':').map_or("", |(_, rest)| rest);
    // What is left begins behind the first colon that can begin a format.
    let with_colon = format!(":{in_braces}");
    with_colon.match_indices('}').any(|(end, _)| {
        let format = with_colon[..end].trim_end();
        let before = format.strip_suffix('p').and_then(|rest| rest.chars().last());
        before.is_some_and(|before| !before.is_alphabetic() && !matches!(before, '_' | '{'))
    })
}
