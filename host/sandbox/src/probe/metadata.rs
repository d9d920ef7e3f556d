//! `probe/metadata`

use guest_sdk::{Hyperparameter, Metadata};

use super::page;
use crate::Rejection;
use crate::rules::Rule;

const NAME_CHARACTERS_MAX: usize = 64;
const SUMMARY_CHARACTERS_MAX: usize = 300;

pub(super) const RULE: Rule = page(
    "probe/metadata",
    "names that are no identifiers, summaries without end, hyperparameters whose default lies outside their range",
    "names become files, settings and rows of a leaderboard",
    "lower case letters, digits and underscores; a summary of one sentence; minimum ≤ default ≤ maximum",
    NO_IDENTIFIER,
);

const NO_IDENTIFIER: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "Best Loss Ever",
    summary: "negative log-sigmoid of the scaled margin",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    -(hp.beta * pair.logratio_margin()).log_sigmoid()
}
"#;

pub(super) fn check(metadata: &Metadata) -> Result<(), Rejection> {
    identifier("the name", &metadata.name)?;
    text("the summary", &metadata.summary)?;
    text(
        "the citation",
        metadata.citation.as_deref().unwrap_or_default(),
    )?;
    for (index, hyperparameter) in metadata.hyperparameters.iter().enumerate() {
        range(hyperparameter)?;
        if metadata.hyperparameters[..index]
            .iter()
            .any(|other| other.name == hyperparameter.name)
        {
            return Err(RULE.rejection(format!(
                "two hyperparameters are called {}",
                hyperparameter.name
            )));
        }
    }
    Ok(())
}

fn identifier(what: &str, name: &str) -> Result<(), Rejection> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    let goes_on_well = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if starts_well && goes_on_well && name.len() <= NAME_CHARACTERS_MAX {
        return Ok(());
    }
    let shown: String = name
        .chars()
        .take(NAME_CHARACTERS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    Err(RULE.rejection(format!(
        "{what} {shown:?} is not an identifier of at most {NAME_CHARACTERS_MAX} characters"
    )))
}

fn text(what: &str, text: &str) -> Result<(), Rejection> {
    let n_characters = text.chars().count();
    if n_characters > SUMMARY_CHARACTERS_MAX || text.chars().any(char::is_control) {
        let message = format!(
            "{what} has {n_characters} characters, expected one line of at most {SUMMARY_CHARACTERS_MAX}"
        );
        return Err(RULE.rejection(message));
    }
    Ok(())
}

fn range(hyperparameter: &Hyperparameter) -> Result<(), Rejection> {
    let Hyperparameter {
        name,
        default,
        minimum,
        maximum,
    } = hyperparameter;
    identifier("the hyperparameter", name)?;
    let finite = [default, minimum, maximum]
        .into_iter()
        .all(|value| value.is_finite());
    if finite && (minimum..=maximum).contains(&default) {
        return Ok(());
    }
    Err(RULE.rejection(format!(
        "{name}: the default {default} is not within {minimum} to {maximum}"
    )))
}
