//! Log-ratios beyond what `probe/finite` asks for: there NaN is still rejected, ∞ is a warning that says from where on.
//!
//! An exponential loss overflows somewhere by its definition; one that turns into NaN would hide that it did.

use super::Caller;
use super::finite;
use super::inputs::lattice;
use crate::Failure;

/// Log-ratios in nats; a completion of 4,096 tokens has log-probs of about −20,000.
const LOGRATIOS: [f64; 4] = [2_000.0, 5_000.0, 10_000.0, 20_000.0];

pub(super) fn check(caller: &mut Caller) -> Result<(), Failure> {
    let mut overflows_from = None;
    for logratio in LOGRATIOS {
        let evaluation = caller.evaluate(&lattice(&[-logratio, 0.0, logratio]))?;
        finite::all(
            &evaluation,
            |value| !value.is_nan(),
            |_| format!("at log-ratios of ±{logratio} nats"),
        )?;
        let lists = [
            &evaluation.losses,
            &evaluation.policy_chosen,
            &evaluation.policy_rejected,
        ];
        if overflows_from.is_none() && lists.into_iter().flatten().any(|value| value.is_infinite())
        {
            overflows_from = Some(logratio);
        }
    }
    caller.report.warnings.extend(overflows_from.map(|logratio| {
        format!("overflows to infinity at log-ratios of ±{logratio} nats, where a training run would end")
    }));
    Ok(())
}
