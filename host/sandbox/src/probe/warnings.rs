//! What is odd but allowed: a constant loss, a push the wrong way, a loss without a lower bound.
//!
//! Such a loss is harmless, and its score will tell; DiscoPOP's own discovery pushes the wrong way at a margin of 0.

use super::{Caller, inputs};
use crate::{Evaluation, Failure};

/// Margins in nats at which the direction of the push is looked at.
fn grid() -> impl Iterator<Item = f64> {
    (-80..=80).map(|i| f64::from(i) / 4.0)
}

pub(super) fn look(caller: &mut Caller) -> Result<(), Failure> {
    let pairs = inputs::margins(grid());
    let evaluation = caller.evaluate(&pairs)?;
    let far = caller.evaluate(&inputs::margins(
        [-1_000.0, -500.0, 0.0, 500.0, 1_000.0].into_iter(),
    ))?;
    let warnings = &mut caller.report.warnings;
    if constant(&evaluation) && constant(&far) {
        warnings.push(
            "the loss does not depend on the policy: training will change nothing".to_owned(),
        );
        return Ok(());
    }
    warnings.extend(wrong_way(&evaluation));
    warnings.extend(unbounded(&far));
    Ok(())
}

fn constant(evaluation: &Evaluation) -> bool {
    let gradients = evaluation
        .policy_chosen
        .iter()
        .chain(&evaluation.policy_rejected);
    gradients.into_iter().all(|&gradient| gradient == 0.0)
}

/// Where a step of descent makes the margin smaller: d loss / d margin > 0.
fn wrong_way(evaluation: &Evaluation) -> Option<String> {
    let pushes: Vec<f64> = grid()
        .zip(
            evaluation
                .policy_chosen
                .iter()
                .zip(&evaluation.policy_rejected),
        )
        .filter(|(_, (chosen, rejected))| **chosen - **rejected > 1e-9)
        .map(|(margin, _)| margin)
        .collect();
    let (first, last) = (pushes.first()?, pushes.last()?);
    Some(format!(
        "pushes the wrong way (towards the rejected completion) at {} of {} margins, between {first} and {last} nats",
        pushes.len(),
        grid().count()
    ))
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
