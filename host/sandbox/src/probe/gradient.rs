//! `probe/gradient`
//!
//! Holds every entry of the gradient (scope `pair`), or every entry of small batches and random directions through the
//! others (scope `batch`), against differences of the losses; at the default hyperparameters, at half and at twice them. Kinks and jumps are
//! counted, not rejected, unless they and what rounding hides are so many that little was checked.

use guest_sdk::{Metadata, Pairs, Scope};

use super::Caller;
use super::differences::{Claim, Kinks, Verdict, judge};
use super::finite::place;
use super::inputs::{Batch, REALISTIC, Rows, few, logps, rows, uniforms};
use crate::rules::{Example, Rule};
use crate::{Evaluation, Failure, Rejection, Stage};

pub(super) const RULE: Rule = Rule {
    name: "probe/gradient",
    stage: Stage::Probe,
    what: "gradients that are not the derivatives of the sum of the losses, and losses whose derivatives cannot be checked",
    why: "the optimiser follows the gradient and the report shows the loss: they must belong together",
    hint: "compute with Dual or Var throughout; values rebuilt from comparisons carry no gradient",
    rejected: Example::Source(DETACHED),
    accepted: Example::PLAIN,
};

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

/// Random directions through a batch of up to `DIRECTED_ROWS` rows; one through a larger one.
const DIRECTIONS: u64 = 4;
const DIRECTED_ROWS: usize = 64;
/// One check in this many may meet a kink, a jump or rounding, where rows are drawn.
const UNSURE_RARER_THAN: usize = 4;
/// One check in this many may meet rounding, where they are drawn as in training.
const UNSEEN_RARER_THAN: usize = 50;
/// Batches with fewer checks are not held to that share.
const CHECKS_MIN: usize = 16;

/// After `probe/scope`: for scope `pair`, rows are moved and asked for apart from their batch.
pub(super) fn check(
    caller: &mut Caller<'_>,
    metadata: &Metadata,
    batches: &[Batch],
    evaluations: &[Evaluation],
    parts: &[(Batch, Evaluation)],
) -> Result<(), Failure> {
    let typical = realistic(batches, evaluations);
    let (mut training, mut drawn) = (Tally::default(), Tally::default());
    for (batch, evaluation) in batches.iter().zip(evaluations) {
        // With a larger one, a slope far from all training would hide the gradients of training.
        let typical = match batch.rows {
            Rows::Training => self::typical(evaluation),
            Rows::Generic | Rows::Special => typical,
        };
        let tally = check_batch(caller, metadata, batch, evaluation, typical)?;
        tally.reject_if_unsure(&format!("{:?}", batch.name), batch.rows, &metadata.scope)?;
        match batch.rows {
            Rows::Training => training.add(&tally),
            Rows::Generic => drawn.add(&tally),
            Rows::Special => {}
        }
        caller.count(tally);
    }
    if matches!(metadata.scope, Scope::Batch) {
        for (seed, spread) in [(200, 8.0), (202, 0.2), (203, 1.0), (204, 3.0)] {
            training.add(&check_entries(caller, &few(seed, spread), typical)?);
        }
        drawn.add(&check_entries(caller, &few(201, 60.0), typical)?);
        // A row of scope `pair` keeps its numbers, so its gradient is right at every size if it is at one.
        for (part, evaluation) in parts {
            let tally = along_directions(caller, part, evaluation, self::typical(evaluation), 1)?;
            training.add(&tally);
            caller.count(tally);
        }
        // Of batches together, since one has too few checks for a share.
        training.reject_if_unsure("batches as in training", Rows::Training, &metadata.scope)?;
        drawn.reject_if_unsure("drawn batches", Rows::Generic, &metadata.scope)?;
    }
    drawn.add(&training);
    caller.report.warnings.extend(drawn.unseen());
    check_at_other_hyperparameters(caller, metadata, batches)
}

/// What counts as a gradient of realistic pairs.
fn realistic(batches: &[Batch], evaluations: &[Evaluation]) -> f64 {
    let realistic = batches.iter().zip(evaluations).find(|(batch, _)| batch.name == REALISTIC);
    realistic.map_or(0.0, |(_, evaluation)| typical(evaluation))
}

/// The largest gradient, but at most 1: less than a millionth of it moves no weight.
fn typical(evaluation: &Evaluation) -> f64 {
    let gradients = evaluation.policy_chosen.iter().chain(&evaluation.policy_rejected);
    let largest = gradients.fold(0.0_f64, |max, gradient| max.max(gradient.abs()));
    largest.min(1.0)
}

fn check_batch(
    caller: &mut Caller<'_>,
    metadata: &Metadata,
    batch: &Batch,
    evaluation: &Evaluation,
    typical: f64,
) -> Result<Tally, Failure> {
    match metadata.scope {
        Scope::Pair => check_rows(caller, batch, evaluation, typical),
        Scope::Batch => check_directions(caller, batch, evaluation, typical),
    }
}

/// Twice and half every default, within the range: an honest gradient is right for all hyperparameters.
fn check_at_other_hyperparameters(
    caller: &mut Caller<'_>,
    metadata: &Metadata,
    batches: &[Batch],
) -> Result<(), Failure> {
    let Some(batch) = batches.iter().find(|batch| batch.name == REALISTIC) else {
        return Ok(());
    };
    let defaults = metadata.defaults();
    for factor in [0.5, 2.0] {
        caller.hyperparameters = metadata
            .hyperparameters
            .iter()
            .map(|hp| (factor * hp.default).clamp(hp.minimum, hp.maximum))
            .collect();
        if caller.hyperparameters == defaults {
            continue;
        }
        let evaluation = caller.evaluate(&batch.pairs)?;
        if super::is_finite(&evaluation) {
            let typical = typical(&evaluation);
            let tally =
                check_batch(caller, metadata, batch, &evaluation, typical).map_err(|failure| {
                    at_hyperparameters(failure, metadata, &caller.hyperparameters)
                })?;
            caller.count(tally);
        }
    }
    caller.hyperparameters = defaults;
    Ok(())
}

/// Says with which hyperparameters the gradient is wrong.
fn at_hyperparameters(failure: Failure, metadata: &Metadata, values: &[f64]) -> Failure {
    match failure {
        Failure::Rejected(rejection) if rejection.rule == RULE.name => {
            let settings: Vec<String> = metadata
                .hyperparameters
                .iter()
                .zip(values)
                .map(|(hp, value)| format!("{} = {value}", hp.name))
                .collect();
            let message = format!("{} with {}", rejection.message, settings.join(", "));
            Rejection { message, ..*rejection }.into()
        }
        other => other,
    }
}

/// What became of the checks of one batch.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) n: usize,
    pub(super) n_kinks: usize,
    pub(super) n_jumps: usize,
    pub(super) n_unseen: usize,
    pub(super) first_bend: Option<String>,
    /// Where a gradient was first asked for at a place that stands alone.
    first_island: Option<String>,
}

impl Tally {
    /// Counts the verdicts, and rejects at the first gradient that is wrong.
    fn count(
        &mut self,
        verdicts: &[Verdict],
        wrong: impl Fn(usize, f64) -> String,
        place: impl Fn(usize) -> String,
    ) -> Result<(), Rejection> {
        self.n += verdicts.len();
        for (i, verdict) in verdicts.iter().enumerate() {
            match verdict {
                Verdict::Agrees => {}
                Verdict::Unseen => self.n_unseen += 1,
                Verdict::Kink => self.n_kinks += 1,
                Verdict::Jump => self.n_jumps += 1,
                Verdict::Island => {
                    self.n_jumps += 1;
                    self.first_island.get_or_insert_with(|| place(i));
                }
                Verdict::Wrong { expected } => return Err(RULE.rejection(wrong(i, *expected))),
            }
            let is_bend = matches!(verdict, Verdict::Kink | Verdict::Jump | Verdict::Island);
            if is_bend && self.first_bend.is_none() {
                self.first_bend = Some(place(i));
            }
        }
        Ok(())
    }

    fn add(&mut self, other: &Tally) {
        self.n += other.n;
        self.n_kinks += other.n_kinks;
        self.n_jumps += other.n_jumps;
        self.n_unseen += other.n_unseen;
        let island = self.first_island.take();
        self.first_island = island.or_else(|| other.first_island.clone());
    }

    /// In batches that were drawn, hardly any place may be without a derivative; in those that were chosen, most must
    /// have one if rows are looked at one by one.
    fn reject_if_unsure(&self, name: &str, rows: Rows, scope: &Scope) -> Result<(), Rejection> {
        if let Some(place) = self.first_island.as_ref().filter(|_| rows.are_drawn()) {
            return Err(RULE.rejection(format!(
                "the loss jumps on both sides of a place, so nothing tells its gradient {place}"
            )));
        }
        let n_unsure = self.n_kinks + self.n_jumps + self.n_unseen;
        let too_many = match (rows, scope) {
            (Rows::Training, _) => {
                UNSURE_RARER_THAN * n_unsure > self.n || UNSEEN_RARER_THAN * self.n_unseen > self.n
            }
            (Rows::Generic, _) => UNSURE_RARER_THAN * n_unsure > self.n,
            (Rows::Special, Scope::Pair) => 2 * self.n_unseen > self.n,
            (Rows::Special, Scope::Batch) => false,
        };
        if self.n < CHECKS_MIN || !too_many {
            return Ok(());
        }
        Err(RULE.rejection(format!(
            "{n_unsure} of {} derivatives cannot be checked for {name}: {} at kinks, {} at jumps, {} lost in the rounding of the loss",
            self.n, self.n_kinks, self.n_jumps, self.n_unseen
        )))
    }

    /// Says it where rounding hides a few.
    fn unseen(&self) -> Option<String> {
        (self.n_unseen > 0).then(|| {
            format!(
                "{} of {} gradients at drawn pairs could not be checked: the loss is so large there that rounding hides its \
                 derivative",
                self.n_unseen, self.n
            )
        })
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

    fn logps(self, pairs: &mut Pairs) -> &mut Vec<f64> {
        match self {
            Side::Chosen => &mut pairs.policy_chosen_logps,
            Side::Rejected => &mut pairs.policy_rejected_logps,
        }
    }
}

/// The largest log-prob of a row.
fn reach(pairs: &Pairs, row: usize) -> f64 {
    logps(pairs, row).iter().fold(0.0, |max, logp| max.max(logp.abs()))
}

/// Scope `pair`: moving one log-prob of every row at once gives every row's own derivative.
fn check_rows(
    caller: &mut Caller<'_>,
    batch: &Batch,
    evaluation: &Evaluation,
    typical: f64,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for side in [Side::Chosen, Side::Rejected] {
        let gradient = side.gradient(evaluation);
        let claims: Vec<Claim> = (0..gradient.len())
            .map(|row| Claim {
                gradient: gradient[row],
                value: evaluation.losses[row],
                size: evaluation.losses[row].abs(),
                reach: reach(&batch.pairs, row) * typical.max(gradient[row].abs()),
                typical,
            })
            .collect();
        let verdicts = judge(&claims, Kinks::Apart, |open, offset| {
            let mut moved = rows(&batch.pairs, open.iter().copied());
            side.logps(&mut moved).iter_mut().for_each(|logp| *logp += offset);
            Ok(caller.evaluate(&moved)?.losses)
        })?;
        let place = |row| place(&batch.name, &batch.pairs, row);
        tally.count(
            &verdicts,
            |row, expected| disagreement(side, gradient[row], expected, &place(row)),
            place,
        )?;
    }
    Ok(tally)
}

fn disagreement(side: Side, got: f64, expected: f64, place: &str) -> String {
    let name = side.name();
    if expected.is_nan() {
        return format!(
            "the gradient of {name} is {got:e}, but differences of the loss settle on nothing {place}"
        );
    }
    format!(
        "the gradient of {name} is {got:e}, but differences of the loss give {expected:e} {place}"
    )
}

/// How far each row's chosen and rejected log-prob move.
struct Direction(Vec<[f64; 2]>);

impl Direction {
    fn random(seed: u64, n_pairs: usize) -> Self {
        let mut uniform = uniforms(seed);
        Direction((0..n_pairs).map(|_| [2.0 * uniform() - 1.0, 2.0 * uniform() - 1.0]).collect())
    }

    fn along(side: Side, row: usize, n_pairs: usize) -> Self {
        let mut direction = vec![[0.0; 2]; n_pairs];
        direction[row] = match side {
            Side::Chosen => [1.0, 0.0],
            Side::Rejected => [0.0, 1.0],
        };
        Direction(direction)
    }

    fn moved(&self, pairs: &Pairs, offset: f64) -> Pairs {
        let mut moved = pairs.clone();
        for (row, [chosen, rejected]) in self.0.iter().enumerate() {
            moved.policy_chosen_logps[row] += offset * chosen;
            moved.policy_rejected_logps[row] += offset * rejected;
        }
        moved
    }

    /// The derivative of the sum of the losses along this direction, as the gradient claims it.
    fn claim(&self, pairs: &Pairs, evaluation: &Evaluation, typical: f64) -> Claim {
        let mut claim = Claim {
            gradient: 0.0,
            value: evaluation.losses.iter().sum(),
            size: evaluation.losses.iter().map(|loss| loss.abs()).sum(),
            reach: 0.0,
            typical,
        };
        for (row, [dx, dy]) in self.0.iter().enumerate() {
            let (gx, gy) = (evaluation.policy_chosen[row], evaluation.policy_rejected[row]);
            claim.gradient += dx * gx + dy * gy;
            let steepness = typical.max(gx.abs()).max(gy.abs());
            claim.reach += reach(pairs, row) * steepness;
        }
        claim
    }

    fn judge(
        &self,
        caller: &mut Caller<'_>,
        pairs: &Pairs,
        claim: Claim,
        kinks: Kinks,
    ) -> Result<Vec<Verdict>, Failure> {
        judge(&[claim], kinks, |_, offset| {
            let losses = caller.evaluate(&self.moved(pairs, offset))?.losses;
            Ok(vec![losses.iter().sum()])
        })
    }
}

/// Scope `batch`: the derivative of the sum of the losses along a few random directions.
fn check_directions(
    caller: &mut Caller<'_>,
    batch: &Batch,
    evaluation: &Evaluation,
    typical: f64,
) -> Result<Tally, Failure> {
    let n_directions = match batch.pairs.len() {
        n_rows if n_rows > DIRECTED_ROWS => 1,
        _ => DIRECTIONS,
    };
    along_directions(caller, batch, evaluation, typical, n_directions)
}

/// The derivative of the sum of the losses along this many random directions.
fn along_directions(
    caller: &mut Caller<'_>,
    batch: &Batch,
    evaluation: &Evaluation,
    typical: f64,
    n_directions: u64,
) -> Result<Tally, Failure> {
    let (pairs, mut tally) = (&batch.pairs, Tally::default());
    let kinks = match batch.rows.are_drawn() {
        true => Kinks::Apart,
        false => Kinks::MayMeet,
    };
    for seed in 0..n_directions {
        let direction = Direction::random(100 + seed, pairs.len());
        let claim = direction.claim(pairs, evaluation, typical);
        let verdicts = direction.judge(caller, pairs, claim, kinks)?;
        let place = |_| format!("along a random direction of {:?}", batch.name);
        let wrong = |i, expected: f64| {
            let place = place(i);
            let got = claim.gradient;
            format!(
                "the gradient {place} is {got:e}, but differences of the summed losses give {expected:e}"
            )
        };
        tally.count(&verdicts, wrong, place)?;
    }
    Ok(tally)
}

/// Scope `batch`: every single entry of a small batch.
fn check_entries(caller: &mut Caller<'_>, pairs: &Pairs, typical: f64) -> Result<Tally, Failure> {
    let evaluation = caller.evaluate(pairs)?;
    super::finite::all(&evaluation, f64::is_finite, |row| place("a small batch", pairs, row))?;
    let mut tally = Tally::default();
    for row in 0..pairs.len() {
        for side in [Side::Chosen, Side::Rejected] {
            let direction = Direction::along(side, row, pairs.len());
            let claim = direction.claim(pairs, &evaluation, typical);
            let verdicts = direction.judge(caller, pairs, claim, Kinks::Apart)?;
            let place = |_| place("a small batch", pairs, row);
            let wrong = |i, expected| disagreement(side, claim.gradient, expected, &place(i));
            tally.count(&verdicts, wrong, place)?;
        }
    }
    caller.count(tally.clone());
    Ok(tally)
}
