//! The user's model on the user's preference data: settings from flags and file, progress, and the report.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use sandbox::{Scope, Stage};
use serde_json::json;
use trainer::TrainFailure;
use trainer::data::Tally;
use trainer::finetune::{self, Finished, Job, Progress, Settings};

use super::{Loss, rejected, verdict};
use crate::args::Train;
use crate::{Outcome, device, plugin, progress, runs, screen, settings};

/// What the names of runs begin with that the user does not name.
const PREFIX: &str = "train-";

/// What the user said, in the configuration file and then in flags; none without a model.
pub(super) fn settings_of(args: &Train) -> Result<Option<Settings>> {
    let text = match &args.config {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mut settings = Settings::merged(&text, &args.flags)?;
    if settings.model.as_os_str().is_empty() {
        ensure!(
            args.config.is_none() && !args.flags.needs_model(),
            "there is no model to train\nhint: --model DIR; without it and without settings of such a run, the \
             default task is trained"
        );
        ensure!(!args.resume, "--resume needs --model\nhint: the default task has no checkpoints");
        return Ok(None);
    }
    ensure!(
        !settings.data.as_os_str().is_empty(),
        "there is no data to train on\nhint: --data FILE, JSONL or Parquet in TRL's preference format"
    );
    if settings.run.as_os_str().is_empty() {
        settings.run = runs::folder(PREFIX, args.resume)?;
    }
    settings.check()?;
    Ok(Some(settings))
}

pub(super) fn run(
    args: &Train,
    settings: Settings,
    loss: &Loss,
    machine: &settings::Settings,
) -> Result<Outcome> {
    refuse_parts_of_a_batch(&settings, loss)?;
    let mut guest = match loss.start(Stage::Train)? {
        Ok(guest) => guest,
        Err(rejection) => return rejected(args, &loss.named, &rejection),
    };
    if let Some(n_threads) = settings.threads {
        trainer::use_threads(n_threads)?;
    }
    let loss_id = format!("{} {:?}", loss.probed.hash(), loss.hyperparameters);
    let device = device::open(settings.device, settings.precision, machine)?;
    let job = Job {
        settings,
        device,
        loss_id,
        reward_beta: loss.hyperparameter("beta"),
        resume: args.resume,
    };
    let stopped = stop_on_signals()?;
    let mut screen = Screen::new();
    let finished = finetune::run(&job, &mut guest, &mut |progress| {
        screen.show(progress);
        match stopped.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    screen.bar.finish_and_clear();
    match finished {
        Ok(finished) => report(args, loss, &job.settings, &finished)?,
        Err(TrainFailure::Fault(fault)) => return Err(fault.into()),
        Err(TrainFailure::Rejected(found)) => return rejected(args, &loss.named, &verdict(found)),
    }
    Ok(Outcome::Done)
}

/// Gradients of parts add up to those of a batch only if the loss looks at one pair at a time.
fn refuse_parts_of_a_batch(settings: &Settings, loss: &Loss) -> Result<()> {
    if !settings.accumulates() || loss.probed.metadata().scope == Scope::Pair {
        return Ok(());
    }
    bail!(
        "{} looks at whole batches (scope batch), so {} pairs cannot be taken in parts of {}\nhint: leave out \
         --pass-pairs; --recompute saves memory without changing the batch",
        plugin::identity(&loss.probed),
        settings.batch_pairs,
        settings.pass_pairs.unwrap_or(settings.batch_pairs)
    )
}

/// Set by the first signal; the run ends after its step or within an evaluation. The second one ends the process as it is.
fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(ENDED_BY_A_SIGNAL);
        }
    })
    .context("cannot wait for Ctrl-C")?;
    Ok(stopped)
}

/// What a shell says of a process that Ctrl-C ended: 128 + SIGINT.
const ENDED_BY_A_SIGNAL: i32 = 130;

/// A run while it lasts.
struct Screen {
    bar: ProgressBar,
    /// What a product of 1024³ reaches on this machine, measured when training begins.
    peak_gflop_per_s: f64,
}

impl Screen {
    fn new() -> Self {
        Screen { bar: progress::bar(), peak_gflop_per_s: f64::NAN }
    }

    fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::Survey { done, of } => {
                self.bar.set_message(format!("counting pairs: {done} of {of} rows"));
            }
            Progress::References { done, of } => {
                self.bar.set_message(format!("reference log-probs: {done} of {of} rows"));
            }
            Progress::Begins { n_steps_done, n_steps } => {
                self.peak_gflop_per_s = trainer::bench::gemm_peak();
                progress::count_steps(&self.bar, *n_steps_done, *n_steps);
            }
            Progress::Step(record, speed) => {
                self.bar.set_position(record.step.step as u64);
                self.bar.set_message(format!(
                    "loss {:.4}  {:.0} tokens/s  {:.0} % of peak",
                    record.step.pairs.loss,
                    speed.tokens_per_s,
                    100.0 * speed.gflop_per_s / self.peak_gflop_per_s
                ));
            }
            Progress::Evaluation { done, of } => {
                self.bar.set_message(format!("evaluation: {done} of {of} rows"));
            }
            Progress::Evaluated(record) => self.say(&format!(
                "step {}: held-out loss {:.4}, accuracy {:.3}",
                record.step, record.pairs.loss, record.pairs.rewards_accuracies
            )),
            Progress::Saved(place) => self.say(&format!("checkpoint: {}", place.display())),
        }
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| screen::note(line));
    }
}

fn report(args: &Train, loss: &Loss, settings: &Settings, finished: &Finished) -> Result<()> {
    screen::note(&screen::rows(&finished.tally));
    let says_something = |tally: &&Tally| tally.pairs < tally.rows || tally.truncated > 0;
    if let Some(tally) = finished.held_out.as_ref().filter(says_something) {
        screen::note(&format!("held out: {}", screen::rows(tally)));
    }
    if finished.ended_early {
        let run = settings.run.display();
        screen::note(&format!("ended early; go on with the same command and --resume --run {run}"));
    }
    if args.json {
        let evaluation = finished.evaluation.as_ref().map(|record| record.pairs);
        return screen::json(&json!({
            "loss": loss.named.name(),
            "hash": loss.probed.hash(),
            "steps": finished.n_steps_done,
            "ended_early": finished.ended_early,
            "place": finished.place,
            "run": settings.run,
            "last": finished.last,
            "evaluation": evaluation,
            "rows": finished.tally,
            "held_out_rows": finished.held_out,
        }));
    }
    let last = finished
        .last
        .as_ref()
        .map_or(String::new(), |record| format!(", last loss {:.6}", record.step.pairs.loss));
    screen::data(&format!(
        "{} steps with {}{last}: {}\n",
        finished.n_steps_done,
        plugin::identity(&loss.probed),
        finished.place.display()
    ))
}
