//! A run while it lasts: one bar for the whole, one line for each worker, one lasting line for each verdict; and the bar
//! of a single training.
//!
//! On a terminal the bars move; elsewhere only the lasting lines are printed.

use std::time::Duration;

use discovery::{Event, Observer};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use trainer::{Preparation, Progress as Training};

use crate::screen::{self, Colour};

/// An observer that prints.
pub(crate) struct Progress {
    screen: MultiProgress,
    whole: ProgressBar,
    workers: Vec<ProgressBar>,
    best: String,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let screen = MultiProgress::new();
        let whole = screen.add(ProgressBar::new(0));
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {pos}/{len} trainings, {eta} left  {wide_msg}")
        {
            whole.set_style(style);
        }
        whole.enable_steady_tick(Duration::from_millis(250));
        Progress { screen, whole, workers: Vec::new(), best: String::new() }
    }

    /// Clears the bars; the lasting lines stay.
    pub(crate) fn end(&self) {
        for bar in self.workers.iter().chain([&self.whole]) {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        self.screen.suspend(|| screen::note(line));
    }

    fn worker(&mut self, worker: usize) -> &ProgressBar {
        while self.workers.len() <= worker {
            let bar = self.screen.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {wide_msg}") {
                bar.set_style(style);
            }
            self.workers.push(bar);
        }
        &self.workers[worker]
    }

    fn prepare(&self, preparation: &Preparation) {
        match preparation {
            Preparation::Found(_) => {}
            Preparation::Useless { path, reason } => {
                self.say(&format!(
                    "making the pairs anew: {} is of no use: {reason}",
                    path.display()
                ));
            }
            Preparation::Sampled { n_prompts, of } => {
                self.whole
                    .set_message(format!("sampling preference pairs, {n_prompts} of {of} prompts"));
            }
            Preparation::Made { n_pairs, .. } => {
                self.say(&format!("made {n_pairs} preference pairs"))
            }
        }
    }

    fn train(&mut self, worker: usize, name: &str, seed_index: usize, progress: &Training) {
        let text = match progress {
            Training::Step { metrics, n_steps } => {
                format!("{name}, seed {}: step {} of {n_steps}", seed_index + 1, metrics.step)
            }
            Training::Evaluated(point) => format!(
                "{name}, seed {}: reward {:+.2} at {:.1} nats after {} steps",
                seed_index + 1,
                point.reward,
                point.kl,
                point.step
            ),
        };
        self.worker(worker).set_message(text);
    }
}

impl Observer for Progress {
    fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Proposer { choice, reason } => {
                self.say(&format!("proposer: {choice} ({reason})"))
            }
            Event::Notice(text) => self.say(text),
            Event::Preparing(preparation) => self.prepare(preparation),
            Event::Begun { run_dir, n_baselines, n_candidates, n_seeds, trainings: (done, of) } => {
                self.whole.set_length(of as u64);
                self.whole.set_position(done as u64);
                self.whole.reset_eta();
                self.say(&format!(
                    "{}, then {}, {} each, in {}",
                    counted(n_baselines, "baseline"),
                    counted(n_candidates, "candidate"),
                    counted(n_seeds, "seed"),
                    run_dir.display()
                ));
            }
            Event::Proposing { proposal } => {
                self.whole.set_message(format!(
                    "{}asking for proposal {}",
                    self.best,
                    proposal + 1
                ));
            }
            Event::AskingAgain { reason, wait, attempt: (next, of) } => self.say(&format!(
                "no proposal yet: {reason}; try {next} of at most {of} in {} s",
                wait.as_secs()
            )),
            Event::Candidate { name, thought, .. } => {
                self.whole.set_message(format!("{}{name}: {thought}", self.best))
            }
            Event::Stage { name, stage, .. } => {
                self.whole.set_message(format!("{}{name}: {stage}", self.best))
            }
            Event::Training { worker, name, seed_index, progress, .. } => {
                self.train(worker, name, seed_index, progress);
            }
            Event::Trained { trainings: (done, of), .. } => {
                self.whole.set_length(of as u64);
                self.whole.set_position(done as u64);
            }
            Event::Scored { name, fitness, best: (best, highest), .. } => {
                self.best = format!("best {best} {:+.3}  ", highest.mean);
                self.say(&format!(
                    "{} {name}: fitness {:+.3} [{:+.3}, {:+.3}] over {}, reward {:+.2} at {:.1} nats",
                    screen::paint(Colour::Green, "scored  "),
                    fitness.mean,
                    fitness.low,
                    fitness.high,
                    counted(fitness.n, "seed"),
                    fitness.reward,
                    fitness.kl
                ));
            }
            Event::Rejected { name, rejection, .. } => {
                self.say(&format!(
                    "{} {name}: {rejection}",
                    screen::paint(Colour::Red, "rejected")
                ));
            }
            Event::Exhausted { scored, wanted, proposals } => self.say(&format!(
                "{} gave {}, {wanted} wanted",
                counted(proposals, "proposal"),
                counted(scored, "scored candidate")
            )),
            Event::Winner { name, path, beaten_by } => {
                self.say(&format!("best proposal: {name}, written to {}", path.display()));
                if let Some(baseline) = beaten_by {
                    self.say(&format!("the baseline {baseline} scored higher"));
                }
            }
        }
    }
}

/// A training before its first step.
pub(crate) fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// From now on the bar counts steps.
pub(crate) fn count_steps(bar: &ProgressBar, n_done: usize, n_steps: usize) {
    bar.set_length(n_steps as u64);
    bar.set_position(n_done as u64);
    bar.reset_eta();
    if let Ok(style) = ProgressStyle::with_template("{bar:30} step {pos}/{len}, {eta} left  {msg}")
    {
        bar.set_style(style);
    }
}

/// `1 seed`, `2 seeds`.
fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
