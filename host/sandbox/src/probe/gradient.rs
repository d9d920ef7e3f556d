//! `probe/gradient`
//!
//! Holds every entry (scope `pair`) or a few random directions (scope `batch`) of the gradient against differences of
//! the losses. Kinks and jumps are reported, not rejected, unless they are so many that nothing was checked.

use guest_sdk::{Metadata, Pairs, Scope};

use super::differences::{Bend, Kinks, STEPS, Samples, bend};
use super::finite::place;
use super::inputs::{Batch, uniforms};
use super::{Caller, page};
use crate::rules::Rule;
use crate::{Evaluation, Failure};

pub(super) const RULE: Rule = page(
    "probe/gradient",
    "gradients that are not the derivatives of the sum of the losses",
    "the optimiser follows the gradient and the report shows the loss: they must belong together",
    "compute with Dual or Var throughout; values rebuilt from comparisons carry no gradient",
    DETACHED,
);

/// Bisection finds x without its derivative: the loss moves, the gradient says zero.
const DETACHED: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "example",
    summary: "a margin rebuilt from comparisons",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let x = hp.beta * pair.logratio_margin();
    let (mut low, mut high) = (-1e4, 1e4);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if x > middle { low = middle } else { high = middle }
    }
    x * 0.0 + low
}
"#;

const BATCH_DIRECTIONS: u64 = 4;
const BATCH_ROWS_MAX: usize = 64;
/// One in this many checks may meet a kink or a jump.
const KINKS_RARER_THAN: usize = 4;

pub(super) fn check(
    caller: &mut Caller,
    metadata: &Metadata,
    batches: &[Batch],
    evaluations: &[Evaluation],
) -> Result<(), Failure> {
    let mut bends = Bends::default();
    for (batch, evaluation) in batches.iter().zip(evaluations) {
        match metadata.scope {
            Scope::Pair => check_rows(caller, batch, evaluation, &mut bends)?,
            Scope::Batch if batch.pairs.len() <= BATCH_ROWS_MAX => {
                check_directions(caller, batch, evaluation, &mut bends)?;
            }
            Scope::Batch => {}
        }
    }
    caller.report.n_kinks = bends.n;
    if KINKS_RARER_THAN * bends.n > caller.report.n_gradients {
        let (n, n_gradients) = (bends.n, caller.report.n_gradients);
        let message = format!(
            "the losses have no derivative at {n} of {n_gradients} places, so none can be checked"
        );
        return Err(RULE.rejection(message).into());
    }
    caller
        .report
        .warnings
        .extend(bends.warning(caller.report.n_gradients));
    Ok(())
}

/// Places without a derivative.
#[derive(Default)]
struct Bends {
    n: usize,
    n_jumps: usize,
    first: String,
}

impl Bends {
    fn add(&mut self, bend: Bend, place: impl FnOnce() -> String) {
        if self.n == 0 {
            self.first = place();
        }
        self.n += 1;
        self.n_jumps += usize::from(bend == Bend::Jump);
    }

    fn warning(&self, n_gradients: usize) -> Option<String> {
        let Bends { n, n_jumps, first } = self;
        let what = if *n_jumps > 0 {
            "the loss jumps"
        } else {
            "the gradient has kinks"
        };
        (*n > 0).then(|| format!("{what}: {n} of {n_gradients} checks met a bend ({n_jumps} of them a jump), first {first}"))
    }
}

/// Which of the two policy log-probs is moved.
#[derive(Debug, Clone, Copy)]
enum Side {
    Chosen,
    Rejected,
}

impl Side {
    fn gradient(self, evaluation: &Evaluation) -> &[f64] {
        match self {
            Side::Chosen => &evaluation.policy_chosen,
            Side::Rejected => &evaluation.policy_rejected,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Side::Chosen => "policy_chosen",
            Side::Rejected => "policy_rejected",
        }
    }

    fn moved(self, pairs: &Pairs, offset: f64) -> Pairs {
        let mut moved = pairs.clone();
        let logps = match self {
            Side::Chosen => &mut moved.policy_chosen_logps,
            Side::Rejected => &mut moved.policy_rejected_logps,
        };
        logps.iter_mut().for_each(|logp| *logp += offset);
        moved
    }
}

/// Scope `pair`: moving one log-prob of every row at once gives every row's own derivative.
fn check_rows(
    caller: &mut Caller,
    batch: &Batch,
    evaluation: &Evaluation,
    bends: &mut Bends,
) -> Result<(), Failure> {
    for side in [Side::Chosen, Side::Rejected] {
        let (gradient, losses) = (side.gradient(evaluation), &evaluation.losses);
        caller.report.n_gradients += gradient.len();
        let mut open: Vec<usize> = (0..gradient.len()).collect();
        let mut tried = Vec::new();
        for step in STEPS {
            if open.is_empty() {
                break;
            }
            let samples = Samples::take(step, |offset| {
                Ok(caller.evaluate(&side.moved(&batch.pairs, offset))?.losses)
            })?;
            open.retain(|&row| !samples.agrees(row, gradient[row], losses[row]));
            tried.push(samples);
        }
        for row in open {
            let place = || place(batch.name, &batch.pairs, row);
            match bend(&tried, row, gradient[row], losses[row], Kinks::Apart) {
                Some(bend) => bends.add(bend, place),
                None => {
                    let (name, got, expected) = (side.name(), gradient[row], tried[0].fine(row));
                    let message = format!(
                        "the gradient of {name} is {got:e}, but differences of the loss give {expected:e} {}",
                        place()
                    );
                    return Err(RULE.rejection(message).into());
                }
            }
        }
    }
    Ok(())
}

/// Scope `batch`: the derivative of the sum of the losses along a few random directions.
fn check_directions(
    caller: &mut Caller,
    batch: &Batch,
    evaluation: &Evaluation,
    bends: &mut Bends,
) -> Result<(), Failure> {
    for seed in 0..BATCH_DIRECTIONS {
        let direction = Direction::random(100 + seed, batch.pairs.len());
        let gradient = direction.slope(evaluation);
        let size: f64 = evaluation.losses.iter().map(|loss| loss.abs()).sum();
        let value: f64 = evaluation.losses.iter().sum();
        caller.report.n_gradients += 1;
        let mut tried = Vec::new();
        for step in STEPS {
            let samples = Samples::take(step, |offset| {
                let losses = caller
                    .evaluate(&direction.moved(&batch.pairs, offset))?
                    .losses;
                Ok(vec![losses.iter().sum()])
            })?;
            if samples.agrees(0, gradient, size) {
                tried.clear();
                break;
            }
            tried.push(samples);
        }
        let Some(first) = tried.first() else { continue };
        match bend(&tried, 0, gradient, value, Kinks::MayMeet) {
            Some(bend) => bends.add(bend, || format!("along a direction of {:?}", batch.name)),
            None => {
                let (name, expected) = (batch.name, first.fine(0));
                let message = format!(
                    "the gradient along a random direction of {name:?} is {gradient:e}, but differences of the summed \
                     losses give {expected:e}"
                );
                return Err(RULE.rejection(message).into());
            }
        }
    }
    Ok(())
}

/// How far each row's chosen and rejected log-prob move.
struct Direction(Vec<[f64; 2]>);

impl Direction {
    fn random(seed: u64, n_pairs: usize) -> Self {
        let mut uniform = uniforms(seed);
        Direction(
            (0..n_pairs)
                .map(|_| [2.0 * uniform() - 1.0, 2.0 * uniform() - 1.0])
                .collect(),
        )
    }

    /// The derivative along this direction that the gradient claims.
    fn slope(&self, evaluation: &Evaluation) -> f64 {
        let gradients = evaluation
            .policy_chosen
            .iter()
            .zip(&evaluation.policy_rejected);
        self.0
            .iter()
            .zip(gradients)
            .map(|([dx, dy], (gx, gy))| dx * gx + dy * gy)
            .sum()
    }

    fn moved(&self, pairs: &Pairs, offset: f64) -> Pairs {
        let mut moved = pairs.clone();
        for (row, [chosen, rejected]) in self.0.iter().enumerate() {
            moved.policy_chosen_logps[row] += offset * chosen;
            moved.policy_rejected_logps[row] += offset * rejected;
        }
        moved
    }
}
