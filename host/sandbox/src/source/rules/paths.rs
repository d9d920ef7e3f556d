//! `source/paths`

use super::super::tokens::{Kind, Token};
use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::{Form, Offence};

/// What of each crate a loss may name.
const ALLOWED_IN_CORE: [&str; 14] = [
    "array", "cmp", "convert", "default", "f64", "i32", "i64", "iter", "num", "ops", "option",
    "result", "u32", "usize",
];
const ALLOWED_IN_SDK: [&str; 14] = [
    "prelude",
    "Batch",
    "Dual",
    "Pair",
    "Scalar",
    "Var",
    "batch_loss",
    "pair_loss",
    "log_sum_exp",
    "mean",
    "sorted",
    "std_dev",
    "sum",
    "variance",
];
/// A crate may implement the contract by hand.
const ALLOWED_TO_CRATES: [&str; 9] = [
    // The type of evaluate's error: alloc itself is out of reach.
    "__String",
    "prelude",
    "export",
    "PreferenceLoss",
    "Gradients",
    "Hyperparameter",
    "Metadata",
    "Pairs",
    "Scope",
];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/paths",
        stage: Stage::Source,
        what: "std, alloc, and all of core and guest_sdk that is not arithmetic",
        why: "core::arch grows memory and traps, std reaches for the system, guest_sdk's inner parts are not for authors",
        hint: "use guest_sdk::prelude::*; of core only array, cmp, convert, default, f64, iter, num, ops, option, result",
        rejected: Example::Source("fn loss() -> usize { core::arch::wasm32::memory_grow(0, 1) }"),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let mut places = 0..parsed.tokens.len();
        places.find_map(|index| offence(&parsed.tokens, index, parsed.form))
    },
};

fn offence(tokens: &[Token], index: usize, form: Form) -> Option<Offence> {
    let (token, rest) = (&tokens[index], &tokens[index + 1..]);
    let root = token.name()?;
    let is_path = rest.len() >= 3 && rest[0].is_mark(':') && rest[1].is_mark(':');
    let allowed = match root {
        // A crate has other files of its own; beyond a single file lies the host's wrapper.
        "crate" | "super" if form == Form::Crate => return None,
        "crate" | "super" | "std" | "alloc" | "proc_macro" | "test" => Vec::new(),
        "core" => ALLOWED_IN_CORE.to_vec(),
        "guest_sdk" if form == Form::Crate => {
            [ALLOWED_IN_SDK.as_slice(), &ALLOWED_TO_CRATES].concat()
        }
        "guest_sdk" => ALLOWED_IN_SDK.to_vec(),
        _ => return None,
    };
    if !is_path && matches!(root, "crate" | "super") {
        // `pub(crate)` and `pub(super)` name no path; `use crate as c` would.
        let is_visibility =
            index >= 2 && tokens[index - 2].is_keyword("pub") && tokens[index - 1].opens();
        let message = format!("{root} cannot be named by itself");
        return (!is_visibility).then(|| Offence::on(token, message));
    }
    let imported = index >= 1 && tokens[index - 1].is_keyword("use");
    if !is_path && imported && matches!(root, "std" | "alloc" | "proc_macro" | "test") {
        return Some(Offence::on(token, format!("{root} is not allowed")));
    }
    if !is_path {
        // These two are always in reach: `use core as c` would hide what follows from this rule.
        let message = format!("{root} cannot be named by itself");
        return matches!(root, "core" | "guest_sdk").then(|| Offence::on(token, message));
    }
    let members = if rest[2].opens() { group(&rest[3..]) } else { vec![&rest[2]] };
    let forbidden = members
        .into_iter()
        .find(|member| !member.name().is_some_and(|name| allowed.contains(&name)))?;
    Some(Offence::on(
        forbidden,
        format!("{root}::{} is not allowed", forbidden.name().unwrap_or("*")),
    ))
}

/// The first token of each entry of `{a::b, c as d, *}`; a group within the group is an entry that no list allows.
fn group(tokens: &[Token]) -> Vec<&Token> {
    let (mut members, mut depth, mut at_start) = (Vec::new(), 0_usize, true);
    for token in tokens {
        if at_start && token.kind != Kind::Close {
            members.push(token);
        }
        match &token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close if depth == 0 => break,
            Kind::Close => depth -= 1,
            _ => {}
        }
        at_start = depth == 0 && token.is_mark(',');
    }
    members
}

#[cfg(test)]
mod tests {
    use crate::Source;
    use crate::source::{audit, rules};

    #[track_caller]
    fn check(line: &str, rule: Option<&str>) {
        let text = format!("{line}\n{}", rules::PLAIN_LOSS);
        let verdict = audit(Source::one_file(&text)).map_err(|rejection| rejection.rule);
        assert_eq!(verdict.err().as_deref(), rule, "{line}");
    }

    #[test]
    fn core_is_in_reach_for_arithmetic_alone() {
        check("use core::cmp::Ordering;", None);
        check("use core::{f64::consts::PI, cmp::{Ordering, max}};", None);
        check("fn f() -> f64 { core::f64::consts::E }", None);
        for line in [
            "use core::arch;",
            "use core::{cmp, arch::wasm32};",
            "use core::{{arch}};",
            "use core::*;",
            "use core as c;",
            "use {core as c};",
            "use ::core as c;",
            "use core::{self as c};",
            "use crate as c;",
            "use {crate as c, super as s};",
            "use std as s;",
            "use core::ops::super::arch;",
            "fn f() { self::core::arch::x() }",
        ] {
            check(line, Some("source/paths"));
        }
    }

    #[test]
    fn inner_parts_of_the_sdk_and_of_the_wrapper_are_out_of_reach() {
        for line in [
            "use guest_sdk::rt;",
            "use guest_sdk::__String;",
            "use guest_sdk as g;",
            "use super::__Component;",
            "fn f() { crate::loss::f() }",
            "use std::fs;",
        ] {
            check(line, Some("source/paths"));
        }
    }

    #[test]
    fn variables_may_be_called_std() {
        check("fn f(std: f64) -> f64 { std * 2.0 }", None);
        check("pub(crate) fn f() {}", None);
    }
}
