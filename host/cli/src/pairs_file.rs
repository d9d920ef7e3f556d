//! Preference pairs as a JSON file: what `lossbox call` reads.
//!
//! Six lists of the same length, named as in the WIT contract. Not the training data: that is text or tokens.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sandbox::Pairs;
use sandbox::limits::PAIRS_MAX;
use serde::Deserialize;

/// Log-probs are sums over the completion's tokens, in nats; token counts are those of the completion.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairsFile {
    policy_chosen_logps: Vec<f64>,
    policy_rejected_logps: Vec<f64>,
    reference_chosen_logps: Vec<f64>,
    reference_rejected_logps: Vec<f64>,
    chosen_tokens: Vec<u32>,
    rejected_tokens: Vec<u32>,
}

/// Reads pairs from `path`, or from standard input where `path` is `-`.
///
/// # Errors
/// When the file cannot be read, is not of this form, has no pairs or has lists of different lengths.
pub(crate) fn read(path: &Path) -> Result<Pairs> {
    let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

/// Reads pairs from a file's text.
///
/// # Errors
/// When the text is not of this form, has no pairs or has lists of different lengths.
pub(crate) fn parse(text: &str) -> Result<Pairs> {
    // serde would take a bare list of the six lists too.
    if text.trim_start().starts_with('[') {
        bail!("this is not a pairs file, but a list{SHAPE}");
    }
    let file: PairsFile =
        serde_json::from_str(text).with_context(|| match syntax_is_wrong(text) {
            true => {
                "this is not JSON\nhint: JSON has numbers, but neither NaN nor Infinity".to_owned()
            }
            false => format!("this is not a pairs file{SHAPE}"),
        })?;
    checked(file)
}

/// Room for [`PAIRS_MAX`] pairs, each number written at full length and on a line of its own.
const BYTES_MAX: u64 = 32 << 20;

const SHAPE: &str = "\nhint: an object with the lists policy_chosen_logps, policy_rejected_logps, \
                     reference_chosen_logps, reference_rejected_logps, chosen_tokens and rejected_tokens";

/// Whether the text is no JSON at all, whatever it should hold.
fn syntax_is_wrong(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()
}

fn read_text(path: &Path) -> Result<String> {
    match path == Path::new("-") {
        true => limited(std::io::stdin().lock()),
        false => limited(std::fs::File::open(path)?),
    }
}

/// A device has no end, so what is read is limited before it is looked at.
fn limited(source: impl Read) -> Result<String> {
    let mut text = String::new();
    let n_bytes = source.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if n_bytes as u64 > BYTES_MAX {
        bail!("it has more than {BYTES_MAX} bytes\nhint: a call takes at most {PAIRS_MAX} pairs");
    }
    Ok(text)
}

fn checked(file: PairsFile) -> Result<Pairs> {
    let pairs = Pairs {
        policy_chosen_logps: file.policy_chosen_logps,
        policy_rejected_logps: file.policy_rejected_logps,
        reference_chosen_logps: file.reference_chosen_logps,
        reference_rejected_logps: file.reference_rejected_logps,
        chosen_tokens: file.chosen_tokens,
        rejected_tokens: file.rejected_tokens,
    };
    if pairs.is_empty() {
        bail!("policy_chosen_logps is empty: expected at least one pair");
    }
    if let Err(message) = pairs.check_lengths() {
        // The contract writes its names with dashes.
        let message = message.replace('-', "_");
        bail!("{message}\nhint: every list has as many entries as policy_chosen_logps");
    }
    for (name, tokens) in
        [("chosen_tokens", &pairs.chosen_tokens), ("rejected_tokens", &pairs.rejected_tokens)]
    {
        if let Some(row) = tokens.iter().position(|&n_tokens| n_tokens == 0) {
            bail!("{name}[{row}] is 0: a completion has at least one token");
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let error = serde_json::from_str(text)
            .map_err(anyhow::Error::from)
            .and_then(checked)
            .expect_err("the file is wrong");
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let error = limited(std::io::repeat(b' ')).expect_err("it has no end");
        assert!(error.to_string().contains("more than"), "{error}");
    }

    #[test]
    fn lists_of_different_lengths_are_refused_with_both_numbers() {
        check(
            r#"{"policy_chosen_logps": [-1.0, -2.0], "policy_rejected_logps": [-1.0],
                "reference_chosen_logps": [-1.0, -2.0], "reference_rejected_logps": [-1.0, -2.0],
                "chosen_tokens": [1, 1], "rejected_tokens": [1, 1]}"#,
            "expected 2 policy_rejected_logps, got 1",
        );
    }

    #[test]
    fn empty_completions_are_refused_by_row() {
        check(
            r#"{"policy_chosen_logps": [-1.0], "policy_rejected_logps": [-1.0],
                "reference_chosen_logps": [-1.0], "reference_rejected_logps": [-1.0],
                "chosen_tokens": [1], "rejected_tokens": [0]}"#,
            "rejected_tokens[0] is 0",
        );
    }

    #[test]
    fn what_is_no_json_and_what_is_no_object_get_hints_of_their_own() {
        for (text, expected) in [
            (r#"{"policy_chosen_logps": [NaN]}"#, "this is not JSON"),
            ("[[-1.0], [-1.0], [-1.0], [-1.0], [1], [1]]", "but a list"),
            (r#"{"policy_chosen_logps": "x"}"#, "not a pairs file"),
        ] {
            let error = parse(text).expect_err("the file is wrong").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn missing_lists_are_named() {
        check(r#"{"policy_chosen_logps": [-1.0]}"#, "missing field");
    }
}
