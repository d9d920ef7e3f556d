//! What is odd but allowed: a constant loss, a push the wrong way, a loss without a lower bound.
//!
//! Such a loss is harmless, and its score will tell; DiscoPOP's own discovery pushes the wrong way at a margin of 0.

use guest_sdk::Metadata;

use super::Caller;
use super::path::{BOTH, Path, grid};
use crate::{Evaluation, Failure};

/// Halvings of an interval of the grid in which the direction changes: a quarter of a nat is then 2e-10.
const HALVINGS: usize = 30;
/// Ranges of margins in one sentence.
pub(super) const RANGES_MAX: usize = 3;
/// Tokens of chosen and rejected completions for which directions are looked at: equal and not, odd and even, short and
/// long, with sums of both kinds. Other counts are looked at at one margin, by [`backdoor`](super::backdoor).
const TOKENS: [[u32; 2]; 5] = [[40, 40], [1, 1], [41, 37], [100, 100], [333, 120]];

pub(super) fn look(caller: &mut Caller<'_>, metadata: &Metadata) -> Result<(), Failure> {
    let scope = &metadata.scope;
    let grid = grid();
    let paths = TOKENS.map(|tokens| BOTH.with_tokens(tokens));
    let mut evaluations = Vec::new();
    for path in &paths {
        evaluations.push(path.evaluate(caller, scope, &grid)?);
    }
    let far = caller.evaluate(&BOTH.pairs([-1_000.0, -500.0, 0.0, 500.0, 1_000.0]))?;
    if evaluations.iter().all(is_constant) && is_constant(&far) {
        caller.report.warnings.push(
            "the loss does not depend on the policy: training will change nothing".to_owned(),
        );
        return Ok(());
    }
    // Token counts with the same sentence share it.
    let mut told: Vec<(String, Vec<[u32; 2]>)> = Vec::new();
    for ((path, tokens), evaluation) in paths.iter().zip(TOKENS).zip(&evaluations) {
        let ranges = wrong_way(caller, metadata, path, &grid, evaluation)?;
        let Some(sentence) = tell_wrong_way(&ranges, metadata) else {
            continue;
        };
        match told.iter_mut().find(|(other, _)| *other == sentence) {
            Some((_, counts)) => counts.push(tokens),
            None => told.push((sentence, vec![tokens])),
        }
    }
    let warnings = &mut caller.report.warnings;
    warnings.extend(told.into_iter().map(|(sentence, tokens)| sentence + &completions(&tokens)));
    warnings.extend(unbounded(&far));
    Ok(())
}

/// For which completions, unless it is for all that were looked at.
fn completions(tokens: &[[u32; 2]]) -> String {
    if tokens.len() == TOKENS.len() {
        return String::new();
    }
    let counts: Vec<String> =
        tokens.iter().map(|[chosen, rejected]| format!("{chosen}/{rejected}")).collect();
    format!(" (chosen/rejected tokens: {})", counts.join(", "))
}

fn is_constant(evaluation: &Evaluation) -> bool {
    let gradients = evaluation.policy_chosen.iter().chain(&evaluation.policy_rejected);
    gradients.into_iter().all(|&gradient| gradient == 0.0)
}

/// d loss / d margin, where both completions move: above 0, descent makes the margin smaller.
fn pushes(evaluation: &Evaluation) -> impl Iterator<Item = f64> {
    evaluation
        .policy_chosen
        .iter()
        .zip(&evaluation.policy_rejected)
        .map(|(chosen, rejected)| chosen - rejected)
}

/// Whether descent makes the margin of a row smaller.
pub(super) fn wrong_way_places(evaluation: &Evaluation) -> Vec<bool> {
    let least = least_wrong(evaluation);
    pushes(evaluation).map(|push| push > least).collect()
}

/// What is more is a push the wrong way: a little of the largest push, or of an ordinary one.
fn least_wrong(evaluation: &Evaluation) -> f64 {
    let largest = pushes(evaluation).fold(0.0_f64, |max, push| max.max(push.abs()));
    1e-9 * largest.min(1.0)
}

/// Ranges of margins where descent makes the margin smaller; an end that is not on the grid is infinite.
fn wrong_way(
    caller: &mut Caller<'_>,
    metadata: &Metadata,
    path: &Path,
    grid: &[f64],
    evaluation: &Evaluation,
) -> Result<Vec<[f64; 2]>, Failure> {
    let least = least_wrong(evaluation);
    let wrong = |push: f64| push > least;
    let is_wrong = wrong_way_places(evaluation);
    // Each as (margin on the one side, margin on the other), to be bisected all at once.
    let mut changes: Vec<(f64, f64, bool)> = (1..grid.len())
        .filter(|&i| is_wrong[i - 1] != is_wrong[i])
        .map(|i| (grid[i - 1], grid[i], is_wrong[i - 1]))
        .collect();
    for _ in 0..HALVINGS {
        if changes.is_empty() {
            break;
        }
        let middles: Vec<f64> = changes.iter().map(|(a, b, _)| 0.5 * (a + b)).collect();
        let between = path.evaluate(caller, &metadata.scope, &middles)?;
        for ((change, push), middle) in changes.iter_mut().zip(pushes(&between)).zip(middles) {
            if wrong(push) == change.2 {
                change.0 = middle;
            } else {
                change.1 = middle;
            }
        }
    }
    let mut ends = Vec::new();
    if is_wrong.first() == Some(&true) {
        ends.push(f64::NEG_INFINITY);
    }
    ends.extend(changes.iter().map(|(a, b, _)| 0.5 * (a + b)));
    if is_wrong.last() == Some(&true) {
        ends.push(f64::INFINITY);
    }
    Ok(ends.as_chunks().0.to_vec())
}

fn tell_wrong_way(ranges: &[[f64; 2]], metadata: &Metadata) -> Option<String> {
    if ranges.is_empty() {
        return None;
    }
    let told: Vec<String> = ranges.iter().take(RANGES_MAX).map(range).collect();
    let more = match ranges.len().saturating_sub(RANGES_MAX) {
        0 => String::new(),
        more => format!(", and in {more} ranges more"),
    };
    let mut sentence =
        format!("pushes the wrong way (towards the rejected completion) {}{more}", told.join(", "));
    let beta = metadata.hyperparameters.iter().find(|hp| hp.name == "beta");
    if let ([[low, high]], Some(beta)) = (ranges, beta)
        && low.is_finite()
        && high.is_finite()
    {
        sentence += &format!(
            ", that is beta times margin {:.6} to {:.6}",
            beta.default * low,
            beta.default * high
        );
    }
    Some(sentence)
}

fn range(&[low, high]: &[f64; 2]) -> String {
    match (low.is_finite(), high.is_finite()) {
        (true, true) => format!("at margins from {low:.4} to {high:.4} nats"),
        (true, false) => format!("at margins above {low:.4} nats"),
        (false, true) => format!("at margins below {high:.4} nats"),
        (false, false) => "at every margin".to_owned(),
    }
}

/// Whether the loss still falls by much from a margin of 500 to one of 1,000, on either side.
fn unbounded(far: &Evaluation) -> Option<String> {
    let losses = &far.losses;
    let falls = |from: f64, to: f64| to < from - 1.0 && to < -1.0;
    (falls(losses[3], losses[4]) || falls(losses[1], losses[0])).then(|| {
        format!(
            "seems to have no lower bound: {:.4e} and {:.4e} at margins of ±1,000 nats",
            losses[0], losses[4]
        )
    })
}
