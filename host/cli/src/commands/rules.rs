//! `lossbox rules [NAME]`: what the gates forbid, why, and an example each; and what else rejects, in a sentence.
//!
//! `docs/rules.md` is what `--markdown` prints; a test here holds the file against it.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use sandbox::rules::{Example, Rule};

use crate::args::Rules;
use crate::{Outcome, screen};

pub(crate) fn run(args: &Rules) -> Result<Outcome> {
    let rules = sandbox::rules::all();
    let text = match &args.name {
        None if args.markdown => markdown(&rules),
        None => {
            let pages = rules.iter().map(page);
            let all = pages.chain(beside_the_gates().map(sentence));
            all.map(|text| text + "\n\n").collect()
        }
        Some(name) => named(name, &rules)?,
    };
    screen::data(&text)?;
    Ok(Outcome::Done)
}

/// What a rejection may name that no gate holds: its examples would be replies and whole trainings.
fn beside_the_gates() -> impl Iterator<Item = (&'static str, &'static str)> {
    discovery::RULES.into_iter().chain(trainer::loss::RULES)
}

fn named(name: &str, rules: &[Rule]) -> Result<String> {
    if let Some(rule) = rules.iter().find(|rule| rule.name == name) {
        return Ok(page(rule));
    }
    match beside_the_gates().find(|(other, _)| *other == name) {
        Some(rule) => Ok(sentence(rule)),
        None => bail!("no rule called {name}\nhint: `lossbox rules` prints them all"),
    }
}

/// A rule that no gate holds, in a terminal.
fn sentence((name, what): (&str, &str)) -> String {
    format!("{name}\n\nForbids: {what}\n\nHint: the rejection says what to do\n")
}

/// A rule as a person reads it in a terminal.
fn page(rule: &Rule) -> String {
    let mut text = format!(
        "{}\n\nForbids: {}\n\nWhy: {}\n\nHint: {}\n",
        rule.name, rule.what, rule.why, rule.hint
    );
    for (title, example) in [("Rejected", rule.rejected), ("Accepted", rule.accepted)] {
        let _ = write!(text, "\n{title}:\n\n{}", indented(&shown(example)));
    }
    text
}

/// The whole of `docs/rules.md`.
fn markdown(rules: &[Rule]) -> String {
    let mut text = String::from(
        "# The rules\n\n\
         What the sandbox's gates forbid, in their order, why, and what to do instead. The tests put every example\n\
         through all gates. This page is made by `lossbox rules --markdown > docs/rules.md`.\n",
    );
    for rule in rules {
        let _ = write!(
            text,
            "\n## {}\n\nForbids: {}.\n\nWhy: {}.\n\nHint: {}.\n",
            rule.name, rule.what, rule.why, rule.hint
        );
        for (title, example) in [("Rejected", rule.rejected), ("Accepted", rule.accepted)] {
            let _ = write!(text, "\n{title}:\n\n{}", fenced(example));
        }
    }
    text.push_str(
        "\n## Beside the gates\n\n\
         A discovery and a training reject by these too; the rejection says what to do.\n\n",
    );
    for (name, what) in beside_the_gates() {
        let _ = writeln!(text, "- `{name}` forbids {what}.");
    }
    text
}

/// The example itself, or in words where it is too long.
fn shown(example: Example) -> String {
    match example {
        Example::Source(text) | Example::Component(text) => text.to_owned(),
        Example::LongSource { shown, .. } | Example::LongComponent { shown, .. } => {
            format!("({shown})")
        }
        Example::NoneKnown(what) => format!("(none is known; the rule waits for {what})"),
        Example::Crate(files) => files.iter().fold(String::new(), |mut all, (name, text)| {
            let _ = writeln!(all, "[{name}]\n{text}");
            all
        }),
    }
}

fn fenced(example: Example) -> String {
    let block = |language: &str, text: &str| format!("```{language}\n{}\n```\n", text.trim_end());
    match example {
        Example::Source(text) => block("rust", text),
        Example::Component(text) => block("wat", text),
        Example::LongSource { shown, .. } | Example::LongComponent { shown, .. } => {
            format!("{shown}\n")
        }
        Example::NoneKnown(what) => format!("none is known; the rule waits for {what}\n"),
        Example::Crate(_) => block("text", &shown(example)),
    }
}

fn indented(example: &str) -> String {
    example.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{}", format!("    {line}").trim_end());
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_rules_in_docs_is_the_one_that_this_command_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
        let file = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            file == markdown(&sandbox::rules::all()),
            "docs/rules.md is out of date: run `cargo run -- rules --markdown > docs/rules.md`"
        );
    }

    #[test]
    fn a_rule_is_found_by_its_name_whoever_holds_it() {
        let rules = sandbox::rules::all();
        for name in ["source/size", "source/duplicate", "train/non-finite"] {
            let text = named(name, &rules).expect(name);
            assert!(text.starts_with(name) && text.contains("Forbids: "), "{text}");
        }
        assert!(named("source/none", &rules).is_err());
    }

    #[test]
    fn a_page_shows_both_examples() {
        for rule in sandbox::rules::all() {
            let text = page(&rule);
            assert!(text.contains("Rejected:\n\n    ") && text.contains("Accepted:\n\n    "));
        }
    }
}
