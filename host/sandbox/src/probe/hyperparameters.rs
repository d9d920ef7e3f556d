//! Hyperparameters at the ends of their ranges: numbers that are not finite there, and calls that fail, are warnings.
//!
//! The gates promise for the defaults only; whoever sets others should know.

use guest_sdk::{Hyperparameter, Metadata};

use super::inputs::{Batch, REALISTIC};
use super::{Caller, numbers};
use crate::Failure;

/// What ends a plugin's process cannot be a warning: nothing more could be asked of it.
const FATAL: [&str; 2] = ["run/timeout", "run/crash"];

pub(super) fn look(
    caller: &mut Caller<'_>,
    metadata: &Metadata,
    batches: &[Batch],
) -> Result<(), Failure> {
    let Some(batch) = batches.iter().find(|batch| batch.name == REALISTIC) else {
        return Ok(());
    };
    for (index, hyperparameter) in metadata.hyperparameters.iter().enumerate() {
        for end in ends(hyperparameter) {
            caller.hyperparameters[index] = end;
            let outcome = caller.evaluate(&batch.pairs);
            caller.hyperparameters[index] = hyperparameter.default;
            let what = match outcome {
                Ok(evaluation) => numbers(&evaluation)
                    .find(|value| !value.is_finite())
                    .map(|value| format!("gives {value}")),
                Err(Failure::Rejected(rejection)) if !FATAL.contains(&rejection.rule.as_str()) => {
                    Some(format!("fails ({}: {})", rejection.rule, rejection.message))
                }
                Err(failure) => return Err(failure),
            };
            let name = &hyperparameter.name;
            caller.report.warnings.extend(what.map(|what| {
                format!("{what} for realistic pairs at {name} = {end}, an end of its range")
            }));
        }
    }
    Ok(())
}

fn ends(hyperparameter: &Hyperparameter) -> impl Iterator<Item = f64> {
    let default = hyperparameter.default;
    [hyperparameter.minimum, hyperparameter.maximum].into_iter().filter(move |&end| end != default)
}
