//! Log-ratios beyond what `probe/finite` asks for: there NaN is still rejected, ∞ is a warning that says from where on.
//!
//! An exponential loss overflows somewhere by its definition; one that turns into NaN would hide that it did.

use serde::{Deserialize, Serialize};

use super::finite::{self, place};
use super::inputs::{lattice, rows};
use super::{Caller, is_finite, numbers};
use crate::Failure;

/// Log-ratios in nats: each a quarter larger than the one before, up to margins of ±1,000,000; a completion of 4,096 tokens
/// has log-probs of about −20,000.
fn logratios() -> impl Iterator<Item = f64> {
    (1..28).map(|n| 1_000.0 * 1.25_f64.powi(n)).chain([500_000.0])
}

/// Halvings of the gap between a size that is finite and one that is not.
const HALVINGS: usize = 24;

/// The first log-ratios, in nats, at which the loss or its gradient is infinite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overflow {
    /// Policy minus reference of the chosen completion.
    pub chosen_logratio: f64,
    /// Policy minus reference of the rejected completion.
    pub rejected_logratio: f64,
}

pub(super) fn check(caller: &mut Caller<'_>) -> Result<(), Failure> {
    let mut finite_up_to = 1_000.0;
    let mut infinite_from = None;
    for logratio in logratios() {
        let pairs = lattice(&[-logratio, 0.0, logratio]);
        let evaluation = caller.evaluate(&pairs)?;
        finite::all(
            &evaluation,
            |value| !value.is_nan(),
            |row| place(&format!("log-ratios of ±{logratio:.0} nats"), &pairs, row),
        )?;
        if infinite_from.is_none() {
            match numbers(&evaluation).position(f64::is_infinite) {
                None => finite_up_to = logratio,
                Some(place) => infinite_from = Some((logratio, place % pairs.len())),
            }
        }
    }
    let Some((logratio, row)) = infinite_from else {
        return Ok(());
    };
    let overflow = first(caller, finite_up_to, logratio, row)?;
    caller.report.overflow = Some(overflow);
    caller.report.warnings.push(format!(
        "overflows to infinity, where a training run would end, from a chosen log-ratio of {:.1} and a rejected one of \
         {:.1} nats on (margin {:.1})",
        overflow.chosen_logratio,
        overflow.rejected_logratio,
        overflow.chosen_logratio - overflow.rejected_logratio
    ));
    Ok(())
}

/// Bisects the size of the log-ratios of this row of the lattice.
fn first(
    caller: &mut Caller<'_>,
    mut low: f64,
    mut high: f64,
    row: usize,
) -> Result<Overflow, Failure> {
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        let pairs = rows(&lattice(&[-middle, 0.0, middle]), [row]);
        match is_finite(&caller.evaluate(&pairs)?) {
            true => low = middle,
            false => high = middle,
        }
    }
    // Rows of the lattice: the chosen log-ratio changes slowest.
    let logratio = |index: usize| [-high, 0.0, high][index];
    Ok(Overflow { chosen_logratio: logratio(row / 3), rejected_logratio: logratio(row % 3) })
}
