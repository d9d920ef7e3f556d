//! `probe/backdoor`
//!
//! Token counts are whole numbers, so they can be tried one by one. From one count to the next a loss may move on, turn
//! or step, as one that penalises length does; what it has no reason to do is to be another loss at one single
//! count. A point is held against its neighbours: it stands alone if it lies farther from the middle of the two than
//! eight times all the ways in which the neighbourhood moves without it.

use guest_sdk::{Metadata, Pairs, Scope};

use super::Caller;
use super::inputs::{LARGEST, empty, push};
use super::warnings::{RANGES_MAX, wrong_way_places};
use crate::rules::{Example, Rule};
use crate::{Evaluation, Failure, Rejection, Stage};

pub(super) const RULE: Rule = Rule {
    name: "probe/backdoor",
    stage: Stage::Probe,
    what: "a loss that is another one at single token counts",
    why: "a loss that turns round at one length passes every other test and spoils the training that meets that length",
    hint: "let the loss change with the token counts smoothly or in steps",
    rejected: Example::Source(ONE_LENGTH),
    accepted: Example::PLAIN,
};

const ONE_LENGTH: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "example",
    summary: "the opposite for completions of 1337 tokens",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let sign = if pair.chosen_tokens == 1337 { -1.0 } else { 1.0 };
    -(sign * hp.beta * pair.logratio_margin()).log_sigmoid()
}
"#;

/// Every count up to this is tried; of a batch loss, which keeps a tape for its rows, up to `LARGEST`.
const DENSE: u32 = 16_384;
/// Counts on either side of each larger power of two up to 2²⁰.
const AROUND: u32 = 3;
/// Tokens of the other completion. A loss may turn on equal counts, so there it may be another one. One that turns on a narrow
/// range of averages may do so at a single count beside short completions, but not beside long ones, where averages move less.
const OTHER: [u32; 2] = [100, 211];

/// Of the pairs that are tried: of policy and reference, chosen and rejected, once with a margin that training wants and once
/// with one that it does not. Every part that a loss can turn on is far from 0.
const LOGPS: [[f64; 4]; 2] = [[-97.0, -104.5, -100.0, -102.0], [-103.5, -99.0, -101.5, -102.5]];

fn margin(logps: [f64; 4]) -> f64 {
    (logps[0] - logps[2]) - (logps[1] - logps[3])
}

/// Which count is tried.
#[derive(Debug, Clone, Copy)]
enum Side {
    Chosen,
    Rejected,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Chosen => "chosen",
            Side::Rejected => "rejected",
        }
    }

    fn other(self) -> Side {
        match self {
            Side::Chosen => Side::Rejected,
            Side::Rejected => Side::Chosen,
        }
    }
}

pub(super) fn check(caller: &mut Caller<'_>, metadata: &Metadata) -> Result<(), Failure> {
    let dense = match metadata.scope {
        Scope::Pair => DENSE,
        Scope::Batch => LARGEST as u32 - 100,
    };
    let runs = runs(dense);
    let n_counts: usize = runs.iter().map(Vec::len).sum();
    for (side, logps) in
        [Side::Chosen, Side::Rejected].into_iter().flat_map(|side| LOGPS.map(|logps| (side, logps)))
    {
        let evaluation = caller.evaluate(&pairs(side, logps, &runs, OTHER[0]))?;
        caller.report.n_token_counts += n_counts;
        let turned = turned(side, logps, &runs, &evaluation);
        caller.report.warnings.extend(turned);
        let Some(first) = alone(&runs, &evaluation, OTHER[0]).into_iter().next() else {
            continue;
        };
        let evaluation = caller.evaluate(&pairs(side, logps, &runs, OTHER[1]))?;
        if !alone(&runs, &evaluation, OTHER[1]).is_empty() {
            return Err(first.rejection(side, logps).into());
        }
    }
    Ok(())
}

/// Counts in runs without a gap.
fn runs(dense: u32) -> Vec<Vec<u32>> {
    let mut runs = vec![(1..=dense).collect::<Vec<u32>>()];
    for exponent in 12..=20 {
        let power = 1_u32 << exponent;
        if power > dense {
            runs.push((power - AROUND..=(power + AROUND).min(1 << 20)).collect());
        }
    }
    runs
}

/// A count at which a list of numbers stands alone.
struct Alone {
    tokens: u32,
    list: &'static str,
    value: f64,
    neighbour: f64,
}

impl Alone {
    fn rejection(&self, side: Side, logps: [f64; 4]) -> Rejection {
        let (tokens, list, side) = (self.tokens, self.list, side.name());
        RULE.rejection(format!(
            "at exactly {tokens} {side} tokens, beside {}, the {list} is {:e} at a margin of {} nats, at {} tokens it is {:e}",
            OTHER[0],
            self.value,
            margin(logps),
            tokens - 1,
            self.neighbour
        ))
    }
}

fn alone(runs: &[Vec<u32>], evaluation: &Evaluation, other: u32) -> Vec<Alone> {
    let lists = [
        ("loss", &evaluation.losses),
        ("gradient of policy_chosen", &evaluation.policy_chosen),
        ("gradient of policy_rejected", &evaluation.policy_rejected),
    ];
    let mut found = Vec::new();
    for (list, values) in lists {
        let mut from = 0;
        for run in runs {
            let values = &values[from..from + run.len()];
            from += run.len();
            let places = standing_alone(values).filter(|&place| run[place] != other);
            found.extend(places.map(|place| Alone {
                tokens: run[place],
                list,
                value: values[place],
                neighbour: values[place - 1],
            }));
        }
    }
    found
}

/// At which counts the pair is pushed the wrong way, if it is not at all of them.
fn turned(
    side: Side,
    logps: [f64; 4],
    runs: &[Vec<u32>],
    evaluation: &Evaluation,
) -> Option<String> {
    let wrong = wrong_way_places(evaluation);
    if wrong.iter().all(|&is_wrong| is_wrong) {
        return None;
    }
    let counts: Vec<u32> = runs.iter().flatten().copied().collect();
    let ranges: Vec<[u32; 2]> = counts
        .iter()
        .zip(&wrong)
        .collect::<Vec<_>>()
        .chunk_by(|a, b| a.1 == b.1)
        .filter(|run| *run[0].1)
        .map(|run| [*run[0].0, *run[run.len() - 1].0])
        .collect();
    let told: Vec<String> =
        ranges.iter().take(RANGES_MAX).map(|[first, last]| format!("{first} to {last}")).collect();
    let more = match ranges.len().saturating_sub(RANGES_MAX) {
        0 => String::new(),
        more => format!(", and in {more} ranges more"),
    };
    (!told.is_empty()).then(|| {
        format!(
            "pushes the wrong way at a margin of {} nats for {} completions of {} tokens{more}, beside {} of {} tokens",
            margin(logps),
            side.name(),
            told.join(", "),
            side.other().name(),
            OTHER[0]
        )
    })
}

fn pairs(side: Side, logps: [f64; 4], runs: &[Vec<u32>], other: u32) -> Pairs {
    let mut pairs = empty();
    for &tokens in runs.iter().flatten() {
        let tokens = match side {
            Side::Chosen => [tokens, other],
            Side::Rejected => [other, tokens],
        };
        push(&mut pairs, logps, tokens);
    }
    pairs
}

/// Places whose value lies apart from those around it.
fn standing_alone(values: &[f64]) -> impl Iterator<Item = usize> {
    let largest = values.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
    (1..values.len().saturating_sub(1)).filter(move |&i| {
        let apart = (values[i] - 0.5 * (values[i - 1] + values[i + 1])).abs();
        let step = |from: Option<usize>| match from {
            Some(from) if from + 1 < values.len() => (values[from + 1] - values[from]).abs(),
            _ => 0.0,
        };
        let around = (values[i + 1] - values[i - 1]).abs()
            + step(i.checked_sub(2))
            + step(i.checked_sub(3))
            + step(Some(i + 1))
            + step(Some(i + 2));
        apart > 8.0 * around + 1e-9 * largest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(f: impl Fn(f64) -> f64) -> Vec<usize> {
        let values: Vec<f64> = (1..=5_000).map(|n| f(f64::from(n))).collect();
        standing_alone(&values).map(|place| place + 1).collect()
    }

    #[test]
    fn what_moves_turns_or_steps_does_not_stand_alone() {
        let ways: [fn(f64) -> f64; 9] = [
            |_| 0.7,
            |n| 1.0 / n,
            |n| (n.ln() - 5.0).powi(2),
            |n| (n - 300.0).abs(),
            |n| if n < 64.0 { 1.0 } else { 2.0 },
            |n| (n / 10.0).floor(),
            |n| n.log2().floor(),
            |n| n % 2.0,
            |n| (n / 1.5).floor(),
        ];
        for (i, way) in ways.into_iter().enumerate() {
            assert_eq!(places(way), Vec::<usize>::new(), "{i}");
        }
    }

    #[test]
    fn a_single_count_stands_alone_however_little() {
        assert_eq!(places(|n| if n == 1_337.0 { -0.4 } else { 0.4 }), [1_337]);
        assert_eq!(places(|n| 1.0 / n + if n == 2.0 { 9.0 } else { 0.0 }), [2]);
        assert_eq!(places(|n| 0.5 + if n == 4_096.0 { 1e-6 } else { 0.0 }), [4_096]);
        assert_eq!(
            places(|n| f64::from(n % 700.0 == 0.0)),
            [700, 1_400, 2_100, 2_800, 3_500, 4_200, 4_900]
        );
    }

    #[test]
    fn every_count_up_to_16384_is_tried_and_those_around_each_power_of_two() {
        let counts: Vec<u32> = runs(DENSE).into_iter().flatten().collect();
        for tokens in [1, 2, 1_337, 16_384, 32_767, 32_769, 65_536, 1 << 20] {
            assert!(counts.contains(&tokens), "{tokens}");
        }
        assert!(counts.len() <= crate::limits::PAIRS_MAX);
    }
}
