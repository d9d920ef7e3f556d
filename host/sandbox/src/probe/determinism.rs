//! `probe/deterministic`

use guest_sdk::Metadata;

use super::inputs::Batch;
use super::{Caller, Plugin};
use crate::rules::{Example, Rule};
use crate::{Evaluation, Failure, Stage};

pub(super) const RULE: Rule = Rule {
    name: "probe/deterministic",
    stage: Stage::Probe,
    what: "results that differ between two calls, or between two processes and engines, with the same pairs",
    why: "a loss is stateless; the same seed must give the same leaderboard",
    hint: "compute from the arguments alone; do not look at the sign or the bits of a NaN",
    rejected: Example::Source(SIGN_OF_NAN),
    accepted: Example::PLAIN,
};

/// Which NaN 0/0 is, is the processor's choice.
const SIGN_OF_NAN: &str = r#"use guest_sdk::prelude::*;

pair_loss! {
    name: "example",
    summary: "another loss on another machine",
    hyperparameters: { beta: 0.1 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let zero = hp.beta - hp.beta;
    let weight = if (zero / zero).is_sign_negative() { 1.0 } else { 2.0 };
    -(weight * hp.beta * pair.logratio_margin()).log_sigmoid()
}
"#;

/// Calls everything again in the reverse order, and once more in the other process, whose engine compiles without
/// optimising and makes every NaN the same. Fuel counts too: it decides on every machine alike.
pub(super) fn check(
    caller: &mut Caller<'_>,
    other: (&mut dyn Plugin, &Metadata),
    metadata: &Metadata,
    batches: &[Batch],
    evaluations: &[Evaluation],
) -> Result<(), Failure> {
    for (batch, expected) in batches.iter().zip(evaluations).rev() {
        let again = caller.evaluate(&batch.pairs)?;
        same(&batch.name, "a second call", &again, expected)?;
    }
    let (plugin, other_metadata) = other;
    if format!("{other_metadata:?}") != format!("{metadata:?}") {
        return Err(RULE.rejection("another process describes the plugin in other words").into());
    }
    for (batch, expected) in batches.iter().zip(evaluations) {
        let elsewhere = caller.evaluate_with(plugin, &batch.pairs)?;
        same(&batch.name, "another process and engine", &elsewhere, expected)?;
    }
    caller.report.n_engines = 2;
    Ok(())
}

fn same(name: &str, what: &str, got: &Evaluation, expected: &Evaluation) -> Result<(), Failure> {
    let lists = [
        ("loss", &got.losses, &expected.losses),
        ("policy_chosen gradient", &got.policy_chosen, &expected.policy_chosen),
        ("policy_rejected gradient", &got.policy_rejected, &expected.policy_rejected),
    ];
    for (list, got, expected) in lists {
        // As bits, so that −0 is not 0.
        let differs = |(a, b): (&f64, &f64)| a.to_bits() != b.to_bits();
        if let Some(row) = got.iter().zip(expected).position(differs) {
            let message = format!(
                "{what} gives another {list} at row {row} of {name:?}: {:e} instead of {:e}",
                got[row], expected[row]
            );
            return Err(RULE.rejection(message).into());
        }
    }
    if got.fuel != expected.fuel {
        let message = format!(
            "{what} takes {} units of fuel for {name:?} instead of {}",
            got.fuel, expected.fuel
        );
        return Err(RULE.rejection(message).into());
    }
    Ok(())
}
