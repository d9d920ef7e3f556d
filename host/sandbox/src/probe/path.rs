//! Lines through the space of one pair's log-probs, walked from a margin of −1,000 nats to one of 1,000, or as far as short
//! completions go.
//!
//! Along each, only the margin of the log-ratios is the parameter; what else moves with it differs from line to line, so
//! that a place found on several of them tells which quantity the loss turns on.

use guest_sdk::{Pairs, Scope};

use super::Caller;
use super::inputs::{empty, push};
use crate::{Evaluation, Failure};

/// A line: policy and reference log-probs as functions of the margin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    /// How much of the margin the chosen log-ratio takes; the rejected one takes the rest.
    pub(super) chosen_share: f64,
    reference: [f64; 2],
    tokens: [u32; 2],
    /// The largest margin; beyond it a log-prob would be above 0.
    reach: f64,
}

/// Both completions move. The one on which directions are looked at.
pub(super) const BOTH: Path =
    Path { chosen_share: 0.5, reference: [-600.0, -600.0], tokens: [40, 40], reach: 1_000.0 };

/// The lines of a search. The second puts the reference 20 nats on the side of the rejected completion, the next two have
/// completions of 20 to 40 nats, token by token as likely as training's, and the last two move one completion only; a batch
/// loss goes without those, since all its rows move together.
pub(super) fn paths(scope: &Scope) -> &'static [Path] {
    const PATHS: [Path; 6] = [
        BOTH,
        Path { reference: [-620.0, -600.0], ..BOTH },
        Path { reference: [-22.0, -25.0], tokens: [10, 12], reach: 40.0, ..BOTH },
        Path { reference: [-40.0, -36.0], tokens: [15, 17], reach: 40.0, ..BOTH },
        Path { chosen_share: 1.0, reference: [-1_103.0, -1_100.0], tokens: [30, 60], ..BOTH },
        Path { chosen_share: 0.0, reference: [-1_100.0, -1_107.0], tokens: [60, 30], ..BOTH },
    ];
    match scope {
        Scope::Pair => &PATHS,
        Scope::Batch => &PATHS[..4],
    }
}

impl Path {
    /// The same line for completions of these numbers of tokens, chosen and rejected.
    pub(super) fn with_tokens(self, tokens: [u32; 2]) -> Self {
        Path { tokens, ..self }
    }

    pub(super) fn pairs(&self, margins: impl IntoIterator<Item = f64>) -> Pairs {
        let mut pairs = empty();
        for margin in margins {
            let chosen = self.chosen_share * margin;
            let logps = [
                self.reference[0] + chosen,
                self.reference[1] + chosen - margin,
                self.reference[0],
                self.reference[1],
            ];
            push(&mut pairs, logps, self.tokens);
        }
        pairs
    }

    /// The margins of [`grid`] that it has.
    pub(super) fn grid(&self) -> Vec<f64> {
        let mut grid = grid();
        grid.retain(|margin| margin.abs() <= self.reach);
        grid
    }

    /// The plugin at these margins. A batch loss sees the whole grid with them, so that its statistics hardly move.
    pub(super) fn evaluate(
        &self,
        caller: &mut Caller<'_>,
        scope: &Scope,
        margins: &[f64],
    ) -> Result<Evaluation, Failure> {
        let others = match scope {
            Scope::Pair => Vec::new(),
            Scope::Batch => self.grid(),
        };
        let n_margins = margins.len();
        let pairs = self.pairs(margins.iter().chain(&others).copied());
        let Evaluation { mut losses, mut policy_chosen, mut policy_rejected, fuel, spent } =
            caller.evaluate(&pairs)?;
        for list in [&mut losses, &mut policy_chosen, &mut policy_rejected] {
            list.truncate(n_margins);
        }
        Ok(Evaluation { losses, policy_chosen, policy_rejected, fuel, spent })
    }
}

/// Margins in nats: a quarter apart up to ±20, then a seventh farther each time, up to ±1,000; and closer and closer to 0,
/// where training begins.
///
/// None is 0, and they are not symmetric: formulas like to bend at 0, and so do means.
pub(super) fn grid() -> Vec<f64> {
    let nearest = (0..8).flat_map(|k| [1.1e-3, -0.9e-3].map(|margin| margin * f64::from(1 << k)));
    let near = (-80..80).map(|i| f64::from(i) / 4.0 + 0.09375);
    let far = |sign: f64| {
        std::iter::successors(Some(20.0), |margin| Some(margin * 8.0 / 7.0))
            .take_while(|&margin| margin < 1_000.0)
            .map(move |margin| sign * margin)
    };
    let mut grid: Vec<f64> = near
        .chain(nearest)
        .chain(far(1.0))
        .chain(far(-1.03))
        .chain([-1_000.0, 1_000.0])
        .filter(|margin| margin.abs() <= 1_000.0)
        .collect();
    grid.sort_by(f64::total_cmp);
    grid
}

/// What a loss may turn on, in the field's terms.
pub(super) type Quantity = (&'static str, fn(&Pairs) -> f64);

/// Of the only row of `pairs`; the likeliest first.
pub(super) const QUANTITIES: [Quantity; 10] = [
    ("margin", |pairs| chosen_logratio(pairs) - rejected_logratio(pairs)),
    ("policy margin", |pairs| pairs.policy_chosen_logps[0] - pairs.policy_rejected_logps[0]),
    ("chosen log-ratio", chosen_logratio),
    ("rejected log-ratio", rejected_logratio),
    ("margin per token", |pairs| {
        chosen_logratio(pairs) / f64::from(pairs.chosen_tokens[0])
            - rejected_logratio(pairs) / f64::from(pairs.rejected_tokens[0])
    }),
    ("policy margin per token", |pairs| {
        pairs.policy_chosen_logps[0] / f64::from(pairs.chosen_tokens[0])
            - pairs.policy_rejected_logps[0] / f64::from(pairs.rejected_tokens[0])
    }),
    ("chosen log-prob", |pairs| pairs.policy_chosen_logps[0]),
    ("rejected log-prob", |pairs| pairs.policy_rejected_logps[0]),
    ("chosen log-prob per token", |pairs| {
        pairs.policy_chosen_logps[0] / f64::from(pairs.chosen_tokens[0])
    }),
    ("rejected log-prob per token", |pairs| {
        pairs.policy_rejected_logps[0] / f64::from(pairs.rejected_tokens[0])
    }),
];

fn chosen_logratio(pairs: &Pairs) -> f64 {
    pairs.policy_chosen_logps[0] - pairs.reference_chosen_logps[0]
}

fn rejected_logratio(pairs: &Pairs) -> f64 {
    pairs.policy_rejected_logps[0] - pairs.reference_rejected_logps[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_what_it_says_on_every_path() {
        for path in paths(&Scope::Pair) {
            for margin in [-path.reach, -7.25, 0.0, 0.5 * path.reach] {
                let pairs = path.pairs([margin]);
                assert_eq!(QUANTITIES[0].1(&pairs), margin, "{path:?}");
                assert!(
                    pairs.policy_chosen_logps[0] <= 0.0 && pairs.policy_rejected_logps[0] <= 0.0
                );
            }
        }
    }

    #[test]
    fn the_grid_ascends_from_end_to_end() {
        let grid = grid();
        assert!(grid.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((grid.first(), grid.last()), (Some(&-1_000.0), Some(&1_000.0)));
    }
}
