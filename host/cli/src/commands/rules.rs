//! `lossbox rules [NAME]`: what the gates forbid, why, and an example each.

use anyhow::{Result, bail};
use sandbox::rules::Rule;

use crate::Outcome;
use crate::args::Rules;

pub(crate) fn run(args: &Rules) -> Result<Outcome> {
    match &args.name {
        None => list(),
        Some(name) => page(name)?,
    }
    Ok(Outcome::Done)
}

fn list() {
    for rule in sandbox::rules::all() {
        println!("{:<32} {}", rule.name, rule.what);
    }
}

fn page(name: &str) -> Result<()> {
    let Some(rule) = sandbox::rules::all()
        .into_iter()
        .find(|rule| rule.name == name)
    else {
        bail!("no rule called {name} (hint: `lossbox rules` lists them)");
    };
    print_rule(&rule);
    Ok(())
}

fn print_rule(rule: &Rule) {
    println!(
        "{}\n\n{}\n\nWhy: {}\n\nHint: {}",
        rule.name, rule.what, rule.why, rule.hint
    );
    for (title, example) in [("Rejected", rule.rejected), ("Accepted", rule.accepted)] {
        if !example.is_empty() {
            println!("\n{title}:\n\n{}", indented(example));
        }
    }
}

fn indented(example: &str) -> String {
    let lines: Vec<String> = example.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}
