//! The default task: trains its base model, measures the policy on the way, and saves the one that was measured last.

use std::path::Path;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use sandbox::Stage;
use serde_json::json;
use trainer::{Progress, SeedResult, Sentiment, SentimentSettings, TrainFailure};

use super::{Loss, rejected, verdict};
use crate::args::Train;
use crate::settings::Settings;
use crate::{Outcome, plugin, progress, screen};

pub(super) fn run(args: &Train, loss: &Loss, settings: &Settings) -> Result<Outcome> {
    if let Some(folder) = &args.flags.save {
        trainer::refuse_existing(folder)?;
    }
    let task = prepare(args, &settings.cache)?;
    let mut guest = match loss.start(Stage::Train)? {
        Ok(guest) => guest,
        Err(rejection) => return rejected(args, &loss.named, &rejection),
    };
    let seed = args.flags.seed.unwrap_or(0);
    let bar = progress::bar();
    progress::count_steps(&bar, 0, task.settings().training.n_steps);
    let watch = &mut |progress: Progress| show(&bar, &progress);
    let trained = task.train_and_score(&mut guest, seed, watch);
    bar.finish_and_clear();
    let (result, policy) = match trained {
        Ok(trained) => trained,
        Err(TrainFailure::Fault(fault)) => return Err(fault.into()),
        Err(TrainFailure::Rejected(found)) => return rejected(args, &loss.named, &verdict(found)),
    };
    if let Some(folder) = &args.flags.save {
        task.save(&policy, folder)?;
        screen::note(&format!("the policy is in {}", folder.display()));
    }
    report(args, loss, &result)?;
    Ok(Outcome::Done)
}

fn prepare(args: &Train, cache: &Path) -> Result<Sentiment> {
    let mut settings = SentimentSettings::default();
    if let Some(n_steps) = args.flags.steps {
        if n_steps == 0 {
            bail!("--steps 0 trains nothing\nhint: at least 1");
        }
        settings.training.n_steps = n_steps;
        settings.evaluation.steps.retain(|&step| step < n_steps);
        settings.evaluation.steps.push(n_steps);
    }
    screen::note("preparing the sentiment task");
    Sentiment::prepare(settings, cache, &mut |_| {}).context("cannot prepare the sentiment task")
}

fn show(bar: &ProgressBar, progress: &Progress) {
    match progress {
        Progress::Step { metrics, .. } => bar.set_position(metrics.step as u64),
        Progress::Evaluated(point) => {
            bar.set_message(format!("reward {:+.2} at {:.2} nats", point.reward, point.kl))
        }
    }
}

fn report(args: &Train, loss: &Loss, result: &SeedResult) -> Result<()> {
    let Loss { named, probed, .. } = loss;
    if args.json {
        return screen::json(
            &json!({ "loss": named.name(), "hash": probed.hash(), "result": result }),
        );
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
    let table = screen::table(&["step", "KL (nats)", "reward"], &rows);
    screen::data(&format!(
        "{table}{}\nfitness {:+.3} [{:+.3}, {:+.3}] over {} prompts, base reward {:+.3}\n",
        plugin::identity(probed),
        result.fitness,
        result.low,
        result.high,
        result.n_prompts,
        result.base_reward
    ))
}
