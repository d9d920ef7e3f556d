//! `lossbox train --loss PLUGIN`: trains the default task's base model with one loss and measures the policy on the way.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sandbox::{ProbedPlugin, Rejection, Stage};
use serde_json::json;
use trainer::{Progress, SeedResult, Sentiment, SentimentSettings, TrainFailure};

use crate::args::{Plugin, Train};
use crate::settings::Settings;
use crate::{Outcome, plugin, screen};

pub(crate) fn run(args: &Train, settings: &Settings) -> Result<Outcome> {
    let (name, values) = loss_and_settings(&args.loss);
    let named = Plugin {
        plugin: name.to_owned(),
        plugins: args.plugins.clone(),
        strict: args.strict,
    };
    let (sandbox, loaded) = plugin::load(&named, settings)?;
    let probed = match loaded {
        Ok(probed) => probed,
        Err(rejection) => return Ok(rejected(&rejection)),
    };
    let hyperparameters = plugin::hyperparameters(&probed, &values)?;
    let task = prepare(args, &settings.cache)?;
    let guest = match plugin::rejection_apart(sandbox.start(&probed, Stage::Train))? {
        Ok(guest) => guest,
        Err(rejection) => return Ok(rejected(&rejection)),
    };
    let mut loss = discovery::GuestLoss::new(guest, hyperparameters);
    let bar = bar(task.settings().training.n_steps);
    let watch = &mut |progress: Progress| show(&bar, &progress);
    let trained = match &args.save {
        None => task.train_and_score(&mut loss, args.seed, watch).map(Some),
        Some(folder) => match task.fine_tune(&mut loss, args.seed, watch) {
            Ok(policy) => {
                task.save(&policy, folder)?;
                Ok(None)
            }
            Err(failure) => Err(failure),
        },
    };
    bar.finish_and_clear();
    match trained {
        Ok(Some(result)) => report(args, name, &probed, &result)?,
        Ok(None) => screen::note(&format!(
            "saved the model trained with {}",
            plugin::identity(&probed)
        )),
        Err(TrainFailure::Fault(fault)) => return Err(fault.into()),
        Err(TrainFailure::Rejected(verdict)) => {
            let rejection =
                Rejection::new(Stage::Train, &verdict.rule, verdict.message, verdict.hint);
            return Ok(rejected(&rejection));
        }
    }
    Ok(Outcome::Done)
}

fn rejected(rejection: &Rejection) -> Outcome {
    screen::rejection(rejection);
    Outcome::Rejected
}

/// `dpo:beta=0.1,tau=2` is the loss `dpo` with two settings.
fn loss_and_settings(loss: &str) -> (&str, Vec<String>) {
    match loss.rsplit_once(':') {
        Some((name, settings)) if settings.contains('=') => {
            (name, settings.split(',').map(str::to_owned).collect())
        }
        _ => (loss, Vec::new()),
    }
}

fn prepare(args: &Train, cache: &Path) -> Result<Sentiment> {
    let mut settings = SentimentSettings::default();
    if let Some(n_steps) = args.steps {
        if n_steps == 0 {
            bail!("--steps 0 trains nothing (hint: at least 1)");
        }
        settings.training.n_steps = n_steps;
        settings.evaluation.steps.retain(|&step| step < n_steps);
        settings.evaluation.steps.push(n_steps);
    }
    screen::note("preparing the sentiment task");
    Sentiment::prepare(settings, cache, &mut |_| {}).context("cannot prepare the sentiment task")
}

fn bar(n_steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} step {pos}/{len}, {eta} left  {msg}");
    let bar = ProgressBar::new(n_steps as u64);
    bar.enable_steady_tick(Duration::from_millis(200));
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(bar: &ProgressBar, progress: &Progress) {
    match progress {
        Progress::Step { metrics, .. } => bar.set_position(metrics.step as u64),
        Progress::Evaluated(point) => bar.set_message(format!(
            "reward {:+.2} at {:.2} nats",
            point.reward, point.kl
        )),
    }
}

fn report(args: &Train, name: &str, probed: &ProbedPlugin, result: &SeedResult) -> Result<()> {
    if args.json {
        return screen::json(&json!({ "loss": name, "hash": probed.hash(), "result": result }));
    }
    let rows: Vec<Vec<String>> = result
        .points
        .iter()
        .map(|point| {
            vec![
                point.step.to_string(),
                format!("{:.2} ± {:.2}", point.kl, 1.96 * point.kl_error),
                format!("{:+.3} ± {:.3}", point.reward, 1.96 * point.reward_error),
            ]
        })
        .collect();
    print!("{}", screen::table(&["step", "KL (nats)", "reward"], &rows));
    println!("{}", plugin::identity(probed));
    println!(
        "fitness {:+.3} [{:+.3}, {:+.3}] over {} prompts, base reward {:+.3}",
        result.fitness, result.low, result.high, result.n_prompts, result.base_reward
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::loss_and_settings;

    #[test]
    fn settings_follow_a_colon() {
        assert_eq!(loss_and_settings("dpo"), ("dpo", Vec::new()));
        assert_eq!(
            loss_and_settings("dpo:beta=0.1,tau=2"),
            ("dpo", vec!["beta=0.1".to_owned(), "tau=2".to_owned()])
        );
        assert_eq!(
            loss_and_settings("C:/losses/x.rs"),
            ("C:/losses/x.rs", Vec::new())
        );
    }
}
