//! Who proposes losses: one trait, four proposers.
//!
//! A proposal is a function of its number, the run's seed and the history that the schedule lets it see; the LLM's
//! answers are the exception, and they are archived before anything is done with them. Proposers run nothing and know
//! no file but their own: what becomes of a proposal is decided elsewhere.

mod draw;
pub(crate) mod evolve;
pub(crate) mod llm;
pub(crate) mod random;
pub(crate) mod replay;
pub(crate) mod reply;

use std::time::Duration;

use sandbox::Rejection;

use crate::Fault;
use crate::candidate::{Candidate, Outcome};

/// Why a proposer waits before it tries again, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) reason: String,
    pub(crate) wait: Duration,
    /// The next try, counted from 1, and how many there may be.
    pub(crate) attempt: (u32, u32),
}

/// Somebody who writes losses.
pub(crate) trait Proposer: Send {
    /// From now on whoever waits says so.
    fn tell_of_pauses(&mut self, _tell: Box<dyn Fn(Pause) + Send>) {}

    /// Makes proposal `n`, counted from 0; `None` if there is nothing left to propose.
    fn propose(&mut self, n: usize, history: &History) -> Result<Option<Reply>, Fault>;
}

/// What a proposal may know, in the order of the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// Candidates and what became of them; the latest are here only if a gate before training turned them away.
    pub(crate) judged: Vec<(Candidate, Outcome)>,
    /// Candidates whose outcome is not to be seen yet.
    pub(crate) pending: Vec<Candidate>,
}

impl History {
    /// Every candidate, judged or not.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.judged.iter().map(|(candidate, _)| candidate).chain(&self.pending)
    }
}

/// What a proposer answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    /// A loss.
    Proposal(Candidate),
    /// Something that is not one. The candidate has a name and no source.
    Malformed { candidate: Candidate, text: String, rejection: Rejection },
}
