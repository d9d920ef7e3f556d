//! `source/no-pointers`

use syn::Item;

use super::super::tokens::Token;
use super::{Parsed, SourceRule, page};
use crate::source::Offence;

/// What gives an address away without naming a pointer type, or memory that is never given back.
const METHODS: [&str; 8] = [
    "addr",
    "as_mut_ptr",
    "as_mut_ptr_range",
    "as_non_null",
    "as_ptr",
    "as_ptr_range",
    "expose_provenance",
    "leak",
];
const INTEGERS: [&str; 12] = [
    "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize",
];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: page(
        "source/no-pointers",
        "raw pointers: the types *const and *mut, &raw, as_ptr() and its like, functions as integers",
        "an address depends on where things happen to lie, and a loss on its arguments alone",
        "use references and indices; to compare, compare values",
        "fn address(x: &f64) -> usize { x as *const f64 as usize }",
    ),
    find: |parsed| {
        let functions = functions(parsed);
        let mut places = parsed.tokens.windows(3);
        let place = places.find(|window| offends(window, &functions))?;
        let message =
            "addresses are not allowed: no raw pointers, no as_ptr(), no function as an integer";
        Some(Offence::on(&place[0], message))
    },
};

fn offends(window: &[Token], functions: &[String]) -> bool {
    let [first, second, third] = window else {
        return false;
    };
    let raw_type = first.is_mark('*') && (second.is_keyword("const") || second.is_keyword("mut"));
    let raw_borrow = first.is_mark('&')
        && second.is_keyword("raw")
        && (third.is_keyword("const") || third.is_keyword("mut"));
    let method = (first.is_mark('.') || first.is_mark(':'))
        && second.name().is_some_and(|name| METHODS.contains(&name));
    let is_function = |name: &str| functions.iter().any(|function| function == name);
    let cast = first.name().is_some_and(is_function)
        && second.is_keyword("as")
        && third.name().is_some_and(|name| INTEGERS.contains(&name));
    let pointer = first.is_keyword("as") && second.is_keyword("fn");
    raw_type || raw_borrow || method || cast || pointer
}

fn functions(parsed: &Parsed) -> Vec<String> {
    let name = |item: &Item| match item {
        Item::Fn(item) => Some(item.sig.ident.to_string()),
        _ => None,
    };
    parsed.file.items.iter().filter_map(name).collect()
}
