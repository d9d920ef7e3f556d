//! `probe/metadata`

use guest_sdk::{Hyperparameter, Metadata};

use crate::limits::HYPERPARAMETERS_MAX;
use crate::printable::is_printable;
use crate::rules::{Example, Rule};
use crate::{Rejection, Stage};

const NAME_CHARACTERS_MAX: usize = 64;
const SUMMARY_CHARACTERS_MAX: usize = 300;

pub(super) const RULE: Rule = Rule {
    name: "probe/metadata",
    stage: Stage::Probe,
    what: "names that are no identifiers, summaries that are empty, endless or not printable, hyperparameters whose default lies \
     outside their range, more than 32 of them",
    why: "names become files, settings and rows of a leaderboard",
    hint: "lower case letters, digits and underscores; a summary of one sentence; minimum ≤ default ≤ maximum",
    rejected: Example::Source(NO_IDENTIFIER),
    accepted: Example::PLAIN,
};

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
    if let Some(citation) = &metadata.citation {
        text("the citation", citation)?;
    }
    if metadata.hyperparameters.len() > HYPERPARAMETERS_MAX {
        return Err(RULE.rejection(format!(
            "expected at most {HYPERPARAMETERS_MAX} hyperparameters, got more"
        )));
    }
    for (index, hyperparameter) in metadata.hyperparameters.iter().enumerate() {
        range(hyperparameter)?;
        if metadata.hyperparameters[..index].iter().any(|other| other.name == hyperparameter.name) {
            return Err(
                RULE.rejection(format!("two hyperparameters are called {}", hyperparameter.name))
            );
        }
    }
    Ok(())
}

fn identifier(what: &str, name: &str) -> Result<(), Rejection> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    let goes_on_well =
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if starts_well && goes_on_well && name.len() <= NAME_CHARACTERS_MAX {
        return Ok(());
    }
    let shown: String =
        name.chars().take(NAME_CHARACTERS_MAX).flat_map(char::escape_debug).collect();
    Err(RULE.rejection(format!(
        "{what} {shown:?} is not an identifier of at most {NAME_CHARACTERS_MAX} characters"
    )))
}

fn text(what: &str, text: &str) -> Result<(), Rejection> {
    let n_characters = text.chars().count();
    if text.trim().is_empty() || n_characters > SUMMARY_CHARACTERS_MAX {
        let message = format!(
            "{what} has {n_characters} characters, expected one line of 1 to {SUMMARY_CHARACTERS_MAX}"
        );
        return Err(RULE.rejection(message));
    }
    match text.chars().find(|&character| !is_printable(character)) {
        None => Ok(()),
        Some(character) => Err(RULE.rejection(format!(
            "{what} has the character {}, which cannot be seen",
            character.escape_unicode()
        ))),
    }
}

fn range(hyperparameter: &Hyperparameter) -> Result<(), Rejection> {
    let Hyperparameter { name, default, minimum, maximum } = hyperparameter;
    identifier("the hyperparameter", name)?;
    let finite = [default, minimum, maximum].into_iter().all(|value| value.is_finite());
    if finite && (minimum..=maximum).contains(&default) {
        return Ok(());
    }
    Err(RULE
        .rejection(format!("{name}: the default {default} is not within {minimum} to {maximum}")))
}

#[cfg(test)]
mod tests {
    use guest_sdk::Scope;

    use super::*;

    fn dpo() -> Metadata {
        Metadata {
            name: "dpo".to_owned(),
            summary: "negative log-sigmoid of the scaled margin, β ρ".to_owned(),
            citation: None,
            scope: Scope::Pair,
            hyperparameters: vec![beta(0.1, 0.001, 10.0)],
        }
    }

    fn beta(default: f64, minimum: f64, maximum: f64) -> Hyperparameter {
        Hyperparameter { name: "beta".to_owned(), default, minimum, maximum }
    }

    #[track_caller]
    fn check_rejected(change: impl FnOnce(&mut Metadata), part: &str) {
        let mut metadata = dpo();
        change(&mut metadata);
        let rejection = check(&metadata).expect_err(part);
        assert!(rejection.message.contains(part), "{rejection}");
    }

    #[test]
    fn plain_descriptions_pass() {
        assert_eq!(check(&dpo()), Ok(()));
        let mut metadata = dpo();
        metadata.citation = Some("arXiv:2305.18290".to_owned());
        metadata.hyperparameters = vec![beta(0.5, 0.5, 0.5)];
        assert_eq!(check(&metadata), Ok(()));
    }

    #[test]
    fn names_are_identifiers_and_texts_can_be_read() {
        check_rejected(|m| m.name = "Best Loss".to_owned(), "the name");
        check_rejected(|m| m.name = "../dpo".to_owned(), "the name");
        check_rejected(|m| m.name = "a".repeat(65), "at most 64 characters");
        check_rejected(|m| m.summary = " ".to_owned(), "the summary has 1");
        check_rejected(|m| m.summary = "a".repeat(301), "the summary has 301");
        check_rejected(|m| m.summary = "a\u{1b}[2Jb".to_owned(), "u{1b}");
        check_rejected(|m| m.summary = "a\u{202e}b".to_owned(), "u{202e}");
        check_rejected(|m| m.citation = Some(String::new()), "the citation");
    }

    #[test]
    fn defaults_lie_within_their_range_and_names_are_unique() {
        check_rejected(|m| m.hyperparameters[0].default = f64::NAN, "NaN");
        check_rejected(|m| m.hyperparameters[0].maximum = f64::INFINITY, "inf");
        check_rejected(|m| m.hyperparameters[0].default = 11.0, "11");
        check_rejected(|m| m.hyperparameters[0].minimum = 20.0, "20");
        check_rejected(|m| m.hyperparameters.push(beta(1.0, 0.0, 2.0)), "two hyperparameters");
        let many = |count: usize| {
            move |metadata: &mut Metadata| {
                let named = |n| Hyperparameter { name: format!("beta{n}"), ..beta(1.0, 0.0, 2.0) };
                metadata.hyperparameters = (0..count).map(named).collect();
            }
        };
        check_rejected(many(HYPERPARAMETERS_MAX + 1), "at most 32");
        let mut metadata = dpo();
        many(HYPERPARAMETERS_MAX)(&mut metadata);
        assert_eq!(check(&metadata), Ok(()));
    }
}
