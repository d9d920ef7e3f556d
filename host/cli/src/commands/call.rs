//! `lossbox call PLUGIN --pairs FILE`: losses and gradients of a plugin on pairs that the user gives.

use anyhow::Result;
use sandbox::{Evaluation, Pairs, ProbedPlugin, Stage};
use serde_json::{Value, json};

use crate::args::Call;
use crate::settings::Settings;
use crate::{Outcome, pairs_file, plugin, screen};

pub(crate) fn run(args: &Call, settings: &Settings) -> Result<Outcome> {
    let pairs = pairs_file::read(&args.pairs)?;
    let (sandbox, named, loaded) = plugin::load(&args.plugin, settings)?;
    let outcome = match &loaded {
        Ok(probed) => {
            let hyperparameters = plugin::hyperparameters(probed, &args.set)?;
            let evaluated = sandbox
                .start(probed, Stage::Probe)
                .and_then(|mut guest| guest.evaluate(&pairs, &hyperparameters));
            plugin::rejection_apart(evaluated)?.map(|evaluation| (probed, evaluation))
        }
        Err(rejection) => Err(rejection.clone()),
    };
    match outcome {
        Ok((probed, evaluation)) => {
            show(args, probed, &pairs, &evaluation)?;
            Ok(Outcome::Done)
        }
        Err(rejection) => {
            if args.json {
                screen::json(&named.rejected(&rejection))?;
            }
            screen::rejection(&rejection);
            Ok(Outcome::Rejected)
        }
    }
}

fn show(args: &Call, probed: &ProbedPlugin, pairs: &Pairs, evaluation: &Evaluation) -> Result<()> {
    if args.json {
        return screen::json(&json!({
            "name": probed.metadata().name,
            "hash": probed.hash(),
            "losses": numbers(&evaluation.losses),
            "policy_chosen": numbers(&evaluation.policy_chosen),
            "policy_rejected": numbers(&evaluation.policy_rejected),
            "fuel": evaluation.fuel,
        }));
    }
    let rows: Vec<Vec<String>> = (0..evaluation.losses.len())
        .map(|i| {
            let margin = (pairs.policy_chosen_logps[i] - pairs.reference_chosen_logps[i])
                - (pairs.policy_rejected_logps[i] - pairs.reference_rejected_logps[i]);
            vec![
                i.to_string(),
                format!("{margin:.6}"),
                format!("{:.9}", evaluation.losses[i]),
                format!("{:.9}", evaluation.policy_chosen[i]),
                format!("{:.9}", evaluation.policy_rejected[i]),
            ]
        })
        .collect();
    let header = ["pair", "margin", "loss", "d/d chosen", "d/d rejected"];
    screen::data(&screen::table(&header, &rows))?;
    screen::note(&format!("{}, fuel {}", plugin::identity(probed), evaluation.fuel));
    Ok(())
}

/// JSON has no infinities and no NaN: they are the strings `Infinity`, `-Infinity` and `NaN`.
fn numbers(values: &[f64]) -> Value {
    let number = |&value: &f64| match value {
        _ if value.is_finite() => json!(value),
        _ if value.is_nan() => json!("NaN"),
        _ if value > 0.0 => json!("Infinity"),
        _ => json!("-Infinity"),
    };
    Value::Array(values.iter().map(number).collect())
}
