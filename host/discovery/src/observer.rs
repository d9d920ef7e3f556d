//! What can be seen of a run while it lasts.
//!
//! Events are enough for progress bars, an estimate of the time left and a log. They are told in the order in which they
//! happen, which depends on timing; results never do. What must survive the process is in the archive, not here.

use std::path::Path;
use std::time::Duration;

use sandbox::{Rejection, Stage};
use trainer::{Fitness, Preparation, Progress};

use crate::ProposerChoice;

/// Somebody who watches. Called on the thread that called [`crate::run`], one event at a time.
pub trait Observer {
    /// Something happened.
    fn on_event(&mut self, event: Event<'_>);
}

impl<F: FnMut(Event<'_>)> Observer for F {
    fn on_event(&mut self, event: Event<'_>) {
        self(event);
    }
}

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The first event: who will propose, and why it is that one.
    Proposer {
        /// Who.
        choice: &'a ProposerChoice,
        /// Why, such as "no key is set in OPENAI_API_KEY".
        reason: &'a str,
    },
    /// Something slow that happens once on a machine: the wasm target is added, the SDK is built.
    Notice(&'a str),
    /// The task's pairs are found or made.
    Preparing(&'a Preparation),
    /// The search begins or goes on.
    Begun {
        /// Where.
        run_dir: &'a Path,
        /// How many built-in losses it trains first.
        n_baselines: usize,
        /// How many candidates it is to score beside them.
        n_candidates: usize,
        /// Trainings of each.
        n_seeds: usize,
        /// Trainings that the archive has already, and how many there will be if nothing further is rejected.
        trainings: (usize, usize),
    },
    /// The proposer is asked.
    Proposing {
        /// Number of the proposal, from 0.
        proposal: usize,
    },
    /// The proposer had no answer and is asked again.
    AskingAgain {
        /// Why.
        reason: &'a str,
        /// How long it waits before.
        wait: Duration,
        /// The next try, counted from 1, and how many there may be.
        attempt: (u32, u32),
    },
    /// A candidate is in the archive.
    Candidate {
        /// Its place in the run: baselines first, then proposals.
        slot: usize,
        /// Its name.
        name: &'a str,
        /// Who proposed it.
        origin: &'a str,
        /// Why.
        thought: &'a str,
    },
    /// A candidate enters a stage.
    Stage {
        /// Its place in the run.
        slot: usize,
        /// Its name.
        name: &'a str,
        /// Which.
        stage: Stage,
    },
    /// A training goes on.
    Training {
        /// The worker, from 0.
        worker: usize,
        /// The candidate's place in the run.
        slot: usize,
        /// Its name.
        name: &'a str,
        /// Which of its trainings, from 0.
        seed_index: usize,
        /// Step, loss and metrics, or a point of the trajectory.
        progress: &'a Progress,
    },
    /// A training ended.
    Trained {
        /// The worker, from 0.
        worker: usize,
        /// The candidate's place in the run.
        slot: usize,
        /// Its name.
        name: &'a str,
        /// Which of its trainings, from 0.
        seed_index: usize,
        /// Trainings done, and how many there will be if nothing further is rejected: for an estimate of the time left.
        trainings: (usize, usize),
    },
    /// A candidate has its fitness.
    Scored {
        /// Its place in the run.
        slot: usize,
        /// Its name.
        name: &'a str,
        /// Mean, interval, reward and KL.
        fitness: &'a Fitness,
        /// The name and fitness of the best so far.
        best: (&'a str, &'a Fitness),
    },
    /// A gate turned a candidate away.
    Rejected {
        /// Its place in the run.
        slot: usize,
        /// Its name.
        name: &'a str,
        /// Where, by which rule, and in which words.
        rejection: &'a Rejection,
    },
    /// The proposals are used up before enough candidates were scored.
    Exhausted {
        /// Candidates scored beside the baselines.
        scored: usize,
        /// Candidates wanted.
        wanted: usize,
        /// Proposals made.
        proposals: usize,
    },
    /// The best proposal is written.
    Winner {
        /// Its name.
        name: &'a str,
        /// The file.
        path: &'a Path,
        /// A baseline that scored higher, if there is one.
        beaten_by: Option<&'a str>,
    },
}
