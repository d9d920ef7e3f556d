//! Where a loss bends or jumps: located by bisection, reported, not rejected.
//!
//! Between two points of a line, a smooth function's slopes differ in proportion to their distance; at a kink they go on
//! differing, at a jump the values do. So every interval of the grid is halved, always into the half in which more
//! is left to explain, until what is left has vanished or stands at a point. Bends less than a quarter of a nat apart, or
//! off the lines, are not found here; `probe/gradient` counts those that it meets.

use guest_sdk::{Metadata, Pairs, Scope};
use serde::{Deserialize, Serialize};

use super::path::{BOTH, Path, QUANTITIES, paths};
use super::{Caller, ProbeReport};
use crate::{Evaluation, Failure};

/// Halvings before smooth intervals are dropped: a quarter of a nat is then 6e-5.
const HALVINGS_OF_ALL: usize = 12;
/// Halvings in all: a quarter of a nat is then 4e-9.
const HALVINGS: usize = 26;
/// Bends in the report.
const REPORTED_MAX: usize = 8;

/// What happens at a bend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BendKind {
    /// The slope changes at once.
    Kink,
    /// The value changes at once.
    Jump,
}

/// A place at which a loss has no derivative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BendReport {
    /// A kink or a jump.
    pub kind: BendKind,
    /// What the loss turns on there, as in "margin" (of the log-ratios) or "policy margin".
    pub quantity: String,
    /// Its value in nats.
    pub at: f64,
}

pub(super) fn locate(caller: &mut Caller<'_>, metadata: &Metadata) -> Result<(), Failure> {
    let mut found = Vec::new();
    let in_order = keeps_order(caller, &metadata.scope)?;
    for path in paths(&metadata.scope) {
        found.extend(bends_along(caller, &metadata.scope, path, in_order)?);
    }
    let bends = named(found);
    let warnings = &mut caller.report.warnings;
    for bend in bends.iter().take(REPORTED_MAX) {
        warnings.push(sentence(bend));
    }
    if bends.len() > REPORTED_MAX {
        let more = bends.len() - REPORTED_MAX;
        warnings.push(format!("the loss bends or jumps at {more} places more"));
    }
    if bends.is_empty() {
        let elsewhere = caller.first_bend.take().map(|place| elsewhere(&caller.report, &place));
        caller.report.warnings.extend(elsewhere);
    }
    caller.report.bends = bends;
    Ok(())
}

/// Whether each pair's loss stands in its place: a batch loss may give its losses in another order, as in order of rank, and
/// then one after the other says nothing of jumps.
fn keeps_order(caller: &mut Caller<'_>, scope: &Scope) -> Result<bool, Failure> {
    if matches!(scope, Scope::Pair) {
        return Ok(true);
    }
    let margins = [3.0, -1.5, 0.7, 9.0, -6.0];
    let forwards = caller.evaluate(&BOTH.pairs(margins))?.losses;
    let backwards = caller.evaluate(&BOTH.pairs(margins.into_iter().rev()))?.losses;
    let same = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    Ok(forwards.iter().zip(backwards.iter().rev()).all(same))
}

/// Bends that lie off the lines, as where a mean over the batch is 0.
fn elsewhere(report: &ProbeReport, place: &str) -> String {
    format!(
        "{} of {} gradients were checked at a kink and {} at a jump, first {place}",
        report.n_kinks, report.n_gradients, report.n_jumps
    )
}

fn sentence(bend: &BendReport) -> String {
    let what = match bend.kind {
        BendKind::Kink => "the gradient has a kink",
        BendKind::Jump => "the loss jumps",
    };
    format!("{what} at {} {:?}", bend.quantity, bend.at)
}

/// An interval of margins with a bend in it, as far as is known.
#[derive(Debug, Clone, Copy)]
struct Interval {
    low: f64,
    high: f64,
    /// The largest gradient and the largest loss at its first two ends.
    steepest: f64,
    largest: f64,
    /// What is left to explain, as a slope, after 8 and after 12 halvings.
    earlier: f64,
    left: Left,
}

/// What a smooth function would not leave between two points.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    /// Difference of the gradients.
    kink: f64,
    /// Difference of the values that their slopes do not explain.
    jump: f64,
}

impl Left {
    /// Between rows `i` and `j`, which are `width` nats apart along `path`.
    fn between(
        evaluation: &Evaluation,
        path: &Path,
        in_order: bool,
        i: usize,
        j: usize,
        width: f64,
    ) -> Self {
        let difference = |list: &[f64]| (list[j] - list[i]).abs();
        let slope = |row: usize| {
            path.chosen_share * evaluation.policy_chosen[row]
                - (1.0 - path.chosen_share) * evaluation.policy_rejected[row]
        };
        let explained = 0.5 * width * (slope(i) + slope(j));
        let jump = (evaluation.losses[j] - evaluation.losses[i] - explained).abs();
        Left {
            kink: difference(&evaluation.policy_chosen) + difference(&evaluation.policy_rejected),
            jump: if in_order { jump } else { 0.0 },
        }
    }

    /// As a slope, so that both kinds compare.
    fn steepness(&self, width: f64) -> f64 {
        let slope = self.kink + self.jump / width;
        if slope.is_finite() { slope } else { 0.0 }
    }
}

/// Every bend along one path, each as its kind and the pair at which it is.
fn bends_along(
    caller: &mut Caller<'_>,
    scope: &Scope,
    path: &Path,
    in_order: bool,
) -> Result<Vec<(BendKind, Pairs)>, Failure> {
    let grid = path.grid();
    let whole = path.evaluate(caller, scope, &grid)?;
    let mut open: Vec<Interval> = (1..grid.len())
        .map(|i| Interval {
            low: grid[i - 1],
            high: grid[i],
            steepest: largest(&whole.policy_chosen[i - 1..=i])
                .max(largest(&whole.policy_rejected[i - 1..=i])),
            largest: largest(&whole.losses[i - 1..=i]),
            earlier: f64::INFINITY,
            left: Left::default(),
        })
        .collect();
    for halving in 0..HALVINGS {
        if open.is_empty() {
            break;
        }
        halve(caller, scope, path, in_order, &mut open)?;
        if halving + 1 == HALVINGS_OF_ALL - 4 {
            open.iter_mut().for_each(|i| i.earlier = i.left.steepness(i.high - i.low));
        }
        if halving + 1 == HALVINGS_OF_ALL {
            open.retain(|i| {
                let left = i.left.steepness(i.high - i.low);
                left > 0.25 * i.earlier && left > 1e-6 * i.steepest
            });
            open.iter_mut().for_each(|i| i.earlier = i.left.kink);
        }
    }
    Ok(open
        .iter()
        .filter_map(|interval| interval.kind())
        .map(|(kind, margin)| (kind, path.pairs([margin])))
        .collect())
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |max, value| max.max(value.abs()))
}

impl Interval {
    /// What is at the end of the bisection, if anything is.
    fn kind(&self) -> Option<(BendKind, f64)> {
        let width = self.high - self.low;
        // What rounding and the steepest slope make of this width at most.
        let explained = 1e-12 * self.largest + 10.0 * self.steepest * width + 1e-7 * self.left.kink;
        let kind = if self.left.jump > explained {
            BendKind::Jump
        } else if self.left.kink > 0.5 * self.earlier && self.left.kink > 1e-6 * self.steepest {
            BendKind::Kink
        } else {
            return None;
        };
        Some((kind, 0.5 * (self.low + self.high)))
    }
}

/// Halves every interval into the half that leaves more to explain, in one call.
fn halve(
    caller: &mut Caller<'_>,
    scope: &Scope,
    path: &Path,
    in_order: bool,
    open: &mut [Interval],
) -> Result<(), Failure> {
    let margins: Vec<f64> =
        open.iter().flat_map(|i| [i.low, 0.5 * (i.low + i.high), i.high]).collect();
    let evaluation = path.evaluate(caller, scope, &margins)?;
    for (n, interval) in open.iter_mut().enumerate() {
        let width = 0.5 * (interval.high - interval.low);
        let middle = margins[3 * n + 1];
        let left =
            |i: usize| Left::between(&evaluation, path, in_order, 3 * n + i, 3 * n + i + 1, width);
        let (lower, upper) = (left(0), left(1));
        if lower.steepness(width) >= upper.steepness(width) {
            (interval.high, interval.left) = (middle, lower);
        } else {
            (interval.low, interval.left) = (middle, upper);
        }
    }
    Ok(())
}

/// Bends by the quantity whose value they share on the most paths.
fn named(found: Vec<(BendKind, Pairs)>) -> Vec<BendReport> {
    let mut bends: Vec<BendReport> = Vec::new();
    let mut open = found;
    while let Some((kind, pairs)) = open.first().cloned() {
        let shared = |&(_, value): &(&str, fn(&Pairs) -> f64)| {
            let here = value(&pairs);
            let close = |there: f64| (there - here).abs() <= 1e-6 * here.abs().max(1.0);
            open.iter().filter(|(k, p)| *k == kind && close(value(p))).count()
        };
        // Of equal counts, the first.
        let Some((quantity, value)) = QUANTITIES.iter().rev().max_by_key(|q| shared(q)) else {
            break;
        };
        let at = value(&pairs);
        open.retain(|(k, p)| *k != kind || (value(p) - at).abs() > 1e-6 * at.abs().max(1.0));
        bends.push(BendReport { kind, quantity: (*quantity).to_owned(), at: rounded(at) });
    }
    bends
}

/// To a millionth of a nat, and no −0.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6 + 0.0
}
