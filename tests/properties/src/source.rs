//! The source gate: whatever text a proposer sends, the audit answers, and what it lets through keeps to its promise.
//!
//! Texts are near-Rust: a grammar that knows the hostile corners of the language, losses of the catalogue with damage,
//! chains and nestings of any length, and bytes.

use arbitrary::{Result, Unstructured};
use proc_macro2::{TokenStream, TokenTree};
use sandbox::{Source, Stage};

use crate::mutate::{damaged, text};
use crate::{Verdict, rejected};

/// Losses to damage.
const LOSSES: [&str; 5] = [
    include_str!("../../../plugins/dpo.rs"),
    include_str!("../../../plugins/discopop.rs"),
    include_str!("../../../plugins/kto_pair.rs"),
    include_str!("../../../plugins/aqfl.rs"),
    include_str!("../../../plugins/pfl.rs"),
];

/// What has fooled an auditor, a lexer or a compiler before.
const PIECES: &[&str] = &[
    "include_str!(\"/etc/passwd\")",
    "r#include_str!(\"x\")",
    "include!{\"/dev/zero\"}",
    "env![\"HOME\"]",
    "option_env!(\"HOME\")",
    "core::include_bytes!(\"x\")",
    "use core::include_str as x;",
    "x!(\"y\")",
    "concat!(\"a\", include_str!(\"b\"))",
    "#[path = \"/etc/passwd\"] mod m;",
    "mod m;",
    "mod m {}",
    "#[cfg_attr(all(), path = \"x\")]",
    "#[doc = include_str!(\"x\")]",
    "#![feature(asm)]",
    "#[no_mangle]",
    "#[unsafe(no_mangle)]",
    "#[export_name = \"f\"]",
    "#[link(name = \"c\")]",
    "extern crate std;",
    "extern \"C\" {}",
    "unsafe {",
    "unsafe fn f() {}",
    "r#unsafe",
    "core::arch::asm!(\"\")",
    "global_asm!(\"\")",
    "macro_rules! m { () => {} }",
    "macro m() {}",
    "use ::core as c;",
    "use {core as c};",
    "use core::{{arch}};",
    "crate::x",
    "super::x",
    "self::x",
    "std::fs::read(\"x\")",
    "alloc::vec![1]",
    "<f64 as core::ops::Add>::add",
    "guest_sdk::rt::x()",
    "impl Drop for A {}",
    "static mut A: u8 = 0;",
    "const A: [u8; 1 << 40] = [0; 1 << 40];",
    "const fn f() -> u64 { f() }",
    "loop {}",
    "async",
    "await",
    "yield",
    "dyn Fn()",
    "*const u8",
    "*mut u8",
    "&raw const x",
    "as usize as *const f64",
    "'a: loop { break 'a }",
    "r#\"",
    "\"#",
    "b\"",
    "c\"\"",
    "br##\"\"##",
    "'",
    "\\",
    "/*",
    "*/",
    "//",
    "///",
    "//!",
    "/**",
    "/*!",
    "#!",
    "#![",
    "#!/bin/sh\n",
    "\u{feff}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{200d}",
    "\u{ad}",
    "\u{85}",
    "\u{2028}",
    "\0",
    "\x1b[2J",
    "\r",
    "\r\n",
    "\t",
    "ｆｎ",
    "ᅠ",
    "𝒹",
    "é",
    "e\u{301}",
    "\u{10ffff}",
    "\u{e0001}",
    "0x",
    "0b2",
    "1e",
    "1.",
    "1..2",
    "1f64",
    "1_f32",
    "9999999999999999999999999999999999999999",
    "1e99999",
    "'\\u{110000}'",
    "'\\x80'",
    "\"\\u{d800}\"",
    "..=",
    "::<",
    ">>=",
    "<<",
    "=>",
    "->",
    "|_|",
    "||",
    "&&",
    "!",
    "?",
    "@",
    "$",
    "$crate",
    "~",
    "`",
    "_",
    "r#_",
    "r#crate",
    "k#fn",
    "'r#a",
    "pair_loss! {",
    "batch_loss!(",
    "}",
    ")",
    "]",
    "{",
    "(",
    "[",
    "vec![0; 1 << 60]",
    "matches!(include_str!(\"x\"), _)",
    "assert!(env!(\"A\") == 1)",
    "#[derive(Clone)]",
    "#[allow(long_running_const_eval)]",
    "#[inline]",
    "where",
    "for<'a>",
    "impl",
];

const NAMES: &[&str] = &[
    "x",
    "pair",
    "hp",
    "beta",
    "loss",
    "f",
    "r#fn",
    "Self",
    "self",
    "core",
    "std",
    "guest_sdk",
    "crate",
    "super",
    "include_str",
    "r#env",
    "é",
    "_",
    "Dual",
    "f64",
    "exp",
    "vec",
    "A",
];

const OPEN_CLOSE: &[(&str, &str)] = &[
    ("(", ")"),
    ("[", "]"),
    ("{", "}"),
    ("vec![", "]"),
    ("&(", ")"),
    ("-(", ")"),
    ("f(", ")"),
    ("{ let x = ", "; x }"),
    ("if true { ", " } else { 0 }"),
    ("match 0 { _ => ", " }"),
    ("(|| ", ")()"),
    ("/*", "*/"),
    ("matches!(", ", _)"),
    ("loop { break ", " }"),
    ("async { ", " }"),
];

const CHAINS: &[&str] = &[
    "+1",
    "-",
    "!",
    "*",
    "&",
    "&mut ",
    ".x",
    ".f()",
    "?",
    "[0]",
    "()",
    " as f64",
    "::x",
    "::<A",
    "A<",
    "x=",
    "x+=",
    "return ",
    "break ",
    "|x| ",
    "..",
    "1,",
    "x;",
    "{}",
    "()",
    "if x {} else ",
    "'a: ",
    "#[inline] ",
    "let x = 1; ",
    "fn f() {} ",
    "/// a\n",
    "\u{202e}",
    "\n",
    " ",
    "\"a\" ",
    "r#x ",
    "dyn A + ",
    "&'a ",
    "impl ",
    "for<'a> ",
    "-> ",
    "mut ",
    "move ",
    "unsafe ",
    "box ",
];

/// Audits the text that the bytes make.
///
/// # Panics
/// When the property does not hold.
pub fn check(bytes: &[u8]) -> Verdict {
    let candidate = generate(&mut Unstructured::new(bytes)).unwrap_or_default();
    let audit = || sandbox::source::audit(Source::one_file(&candidate));
    match (audit(), audit()) {
        (Ok(_), Ok(_)) => {
            check_accepted(&candidate);
            // Otherwise the lexer keeps every text that this thread ever read.
            proc_macro2::extra::invalidate_current_thread_spans();
            Verdict::Accepted
        }
        (Err(first), Err(second)) => {
            assert_eq!(first, second, "two verdicts on the same text");
            assert_eq!(first.stage, Stage::Source);
            assert!(!first.message.chars().any(char::is_control), "{first:?}");
            let span = first.span.expect("a rejection of text has a place");
            let n_lines = candidate.split('\n').count();
            assert!((1..=n_lines).contains(&span.line), "{first:?} of {n_lines}");
            assert!((1..=candidate.len() + 1).contains(&span.column), "{first:?}");
            rejected(&first.rule)
        }
        (first, second) => panic!("two verdicts on the same text: {first:?} and {second:?}"),
    }
}

const MACROS: [&str; 9] = [
    "pair_loss",
    "batch_loss",
    "vec",
    "matches",
    "assert",
    "assert_eq",
    "debug_assert",
    "debug_assert_eq",
    "unreachable",
];

/// An auditor of its own, much simpler than the gate: it looks at tokens alone.
fn check_accepted(text: &str) {
    let stream: TokenStream = text.parse().expect("what was accepted has tokens");
    let mut streams = vec![stream];
    while let Some(stream) = streams.pop() {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        for (index, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Group(group) => streams.push(group.stream()),
                TokenTree::Ident(name) => check_word(&name.to_string(), &trees[index + 1..], text),
                _ => {}
            }
        }
    }
}

fn check_word(word: &str, rest: &[TokenTree], text: &str) {
    let forbidden = ["unsafe", "extern", "mod"];
    assert!(!forbidden.contains(&word), "accepted {word}: {text}");
    let negates = ["return", "if", "while", "match", "in", "else", "break", "as", "move"];
    // A macro that is called; or `macro_rules! name`. Either word alone may be a variable's name.
    if let [TokenTree::Punct(mark), next, ..] = rest
        && mark.as_char() == '!'
        && (word == "macro_rules" || matches!(next, TokenTree::Group(_)))
        && !negates.contains(&word)
    {
        let name = word.trim_start_matches("r#");
        assert!(MACROS.contains(&name), "accepted {name}!: {text}");
    }
}

fn generate(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=7)? {
        0 => text(u.bytes(u.len())?),
        1 => around_a_loss(u, nesting)?,
        2 => around_a_loss(u, chain)?,
        3 => {
            let mut lines: Vec<&str> = u.choose(&LOSSES)?.lines().collect();
            for _ in 0..u.int_in_range(1..=2)? {
                let at = u.int_in_range(0..=lines.len())?;
                lines.insert(at, u.choose(PIECES)?);
            }
            lines.join("\n")
        }
        4 => {
            let loss = *u.choose(&LOSSES)?;
            let pieces: Vec<&[u8]> = PIECES.iter().map(|piece| piece.as_bytes()).collect();
            text(&damaged(u, loss.as_bytes().to_vec(), &pieces)?)
        }
        5 => around_a_loss(u, |u| expression(u, 0))?,
        6 => {
            let mut items = String::new();
            while items.len() < 4_000 && u.ratio(7, 8)? {
                items.push_str(&item(u, 0)?);
                items.push('\n');
            }
            format!("{items}{}", LOSSES[0])
        }
        _ => tokens(u, 0)?,
    })
}

/// A whole loss with this as an expression, a statement or an item.
fn around_a_loss(
    u: &mut Unstructured<'_>,
    inner: impl Fn(&mut Unstructured<'_>) -> Result<String>,
) -> Result<String> {
    let place = u.int_in_range(0..=3)?;
    let inner = inner(u)?;
    Ok(match place {
        0 => LOSSES[0].replace("pair.logratio_margin()", &inner),
        1 => LOSSES[0].replace("-> Dual {", &format!("-> Dual {{ let x = {inner};")),
        2 => format!("{}\nconst A: {inner} = 1;", LOSSES[0]),
        _ => inner,
    })
}

fn nesting(u: &mut Unstructured<'_>) -> Result<String> {
    let depth_max = if u.ratio(1, 4)? { 60_000 } else { 70 };
    let depth = u.int_in_range(1..=depth_max)?;
    let (open, close) = *u.choose(OPEN_CLOSE)?;
    let (open_too, close_too) = *u.choose(OPEN_CLOSE)?;
    let depth = depth.min(200_000 / (open.len() + close.len() + open_too.len() + close_too.len()));
    Ok(format!(
        "{}{}{}",
        format!("{open}{open_too}").repeat(depth),
        expression(u, 3)?,
        format!("{close_too}{close}").repeat(depth)
    ))
}

fn chain(u: &mut Unstructured<'_>) -> Result<String> {
    let link = *u.choose(CHAINS)?;
    let length_max = if u.ratio(1, 2)? { 66_000 / link.len() } else { 40 };
    let length = u.int_in_range(1..=length_max)?;
    Ok(match u.int_in_range(0..=2)? {
        0 => format!("x{}", link.repeat(length)),
        1 => format!("{}x", link.repeat(length)),
        _ => link.repeat(length),
    })
}

const DEPTH_MAX: usize = 6;

fn expression(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    let kind = if depth >= DEPTH_MAX || u.is_empty() {
        u.int_in_range(0..=2)?
    } else {
        u.int_in_range(0..=14)?
    };
    let next = depth + 1;
    Ok(match kind {
        0 => (*u.choose(NAMES)?).to_owned(),
        1 => u.arbitrary::<u16>()?.to_string(),
        2 => (*u.choose(&["1.0", "-1e-3", "\"a\"", "'a'", "true", "b\"x\"", "1_000f64", "()"])?)
            .to_owned(),
        3 => format!(
            "{} {} {}",
            expression(u, next)?,
            u.choose(&["+", "*", "<", "&&", "=", ".."])?,
            expression(u, next)?
        ),
        4 => format!("{}.{}({})", expression(u, next)?, u.choose(NAMES)?, expression(u, next)?),
        5 => format!("{}({})", u.choose(NAMES)?, expression(u, next)?),
        6 => format!("-({})", expression(u, next)?),
        7 => format!(
            "if {} {{ {} }} else {{ {} }}",
            expression(u, next)?,
            expression(u, next)?,
            expression(u, next)?
        ),
        8 => format!(
            "match {} {{ {} => {}, _ => {} }}",
            expression(u, next)?,
            u.choose(NAMES)?,
            expression(u, next)?,
            expression(u, next)?
        ),
        9 => format!("|{}| {}", u.choose(NAMES)?, expression(u, next)?),
        10 => format!("{{ {} {} }}", item(u, next)?, expression(u, next)?),
        11 => format!("{}!({})", u.choose(NAMES)?, tokens(u, next)?),
        12 => format!("vec![{}; {}]", expression(u, next)?, expression(u, next)?),
        13 => format!("{} as {}", expression(u, next)?, path(u)?),
        _ => format!("{}({})", path(u)?, u.choose(PIECES)?),
    })
}

fn item(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    let attribute = if u.ratio(1, 3)? {
        format!(
            "#[{}{}]",
            path(u)?,
            *u.choose(&["", " = \"a\"", "(Clone)", "(x, path = \"y\")", "[include_str!(\"z\")]"])?
        )
    } else {
        String::new()
    };
    let next = depth + 1;
    let name = *u.choose(NAMES)?;
    let item = match u.int_in_range(0..=8)? {
        0 => format!("use {};", use_tree(u, depth)?),
        1 => format!(
            "fn {name}({}: {}) -> {} {{ {} }}",
            u.choose(NAMES)?,
            path(u)?,
            path(u)?,
            expression(u, next)?
        ),
        2 => format!("const {name}: {} = {};", path(u)?, expression(u, next)?),
        3 => format!("struct {name} {{ {}: {} }}", u.choose(NAMES)?, path(u)?),
        4 => format!(
            "impl {} for {name} {{ {} }}",
            path(u)?,
            if depth < DEPTH_MAX { item(u, next)? } else { String::new() }
        ),
        5 => format!("let {name} = {};", expression(u, next)?),
        6 => format!("trait {name}: {} {{}}", path(u)?),
        7 => format!("type {name}<T> = {};", path(u)?),
        _ => (*u.choose(PIECES)?).to_owned(),
    };
    Ok(format!("{attribute} {item}"))
}

fn use_tree(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    Ok(match u.int_in_range(0..=4)? {
        0 if depth < DEPTH_MAX => format!(
            "{}::{{{}, {}}}",
            u.choose(NAMES)?,
            use_tree(u, depth + 1)?,
            use_tree(u, depth + 1)?
        ),
        1 => format!("{}::*", path(u)?),
        2 => format!("{} as {}", path(u)?, u.choose(NAMES)?),
        3 => format!("::{}", path(u)?),
        _ => path(u)?,
    })
}

fn path(u: &mut Unstructured<'_>) -> Result<String> {
    let mut segments = vec![*u.choose(NAMES)?];
    while segments.len() < 4 && u.ratio(1, 2)? {
        segments.push(*u.choose(&[
            "ops",
            "arch",
            "wasm32",
            "include_str",
            "prelude",
            "rt",
            "f64",
            "r#fs",
            "<f64>",
            "{x}",
        ])?);
    }
    Ok(segments.join("::"))
}

/// Brackets that close, with anything between them.
fn tokens(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    let mut tokens = String::new();
    while tokens.len() < 2_000 && !u.is_empty() && u.ratio(5, 6)? {
        match u.int_in_range(0..=5)? {
            0 if depth < 2 * DEPTH_MAX => {
                let (open, close) = *u.choose(OPEN_CLOSE)?;
                let inner = self::tokens(u, depth + 1)?;
                tokens.push_str(&[open, &inner, close].concat());
            }
            1 => tokens.push_str(u.choose(PIECES)?),
            2 => tokens.push_str(u.choose(CHAINS)?),
            3 => tokens.push(char::from_u32(u.int_in_range(0..=0x11_ffff)?).unwrap_or('\u{fffd}')),
            _ => tokens.push_str(u.choose(NAMES)?),
        }
        tokens.push(' ');
    }
    Ok(tokens)
}
