//! A candidate's place in the workshop: does each stage through the machinery and has its verdict written.
//!
//! A bench lives on a thread of its own, which mostly waits: for the archive, and for the workers that train. What an
//! earlier session archived is not done again. The order of the stages is the pipeline's business.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use sandbox::{Rejection, Stage};
use trainer::{Fitness, SeedResult};

use crate::Fault;
use crate::archive::{Record, Trained};
use crate::candidate::Candidate;
use crate::crew::{Crew, Job, TrainingEnd};
use crate::journal::{Journal, News, Stopped};
use crate::stages::{Failure, Stages};

/// Everything that judging one candidate needs.
pub(crate) struct Bench<'a, S: Stages> {
    pub(crate) stages: &'a S,
    pub(crate) crew: &'a Crew<S::Loss>,
    pub(crate) journal: Journal,
    pub(crate) slot: usize,
    pub(crate) candidate: Candidate,
    /// The seeds of its trainings.
    pub(crate) seeds: &'a [u64],
    /// Trainings that earlier sessions archived.
    pub(crate) archived: Vec<(usize, Trained)>,
}

/// Why a candidate has no fitness.
#[derive(Debug)]
pub(crate) enum Setback {
    /// Its own fault.
    Rejected(Rejection),
    /// Ours or the machine's.
    Fault(Fault),
    /// The run is ending for a reason that is known elsewhere.
    Stopped,
}

impl From<Fault> for Setback {
    fn from(fault: Fault) -> Self {
        Setback::Fault(fault)
    }
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(rejection) => Setback::Rejected(rejection),
            Failure::Fault(fault) => Setback::Fault(fault),
        }
    }
}

impl From<Stopped> for Setback {
    fn from(Stopped: Stopped) -> Self {
        Setback::Stopped
    }
}

impl<S: Stages> Bench<'_, S> {
    pub(crate) fn audit_source(&self) -> Result<S::AuditedSource, Setback> {
        self.pass(Stage::Source, || self.stages.audit_source(&self.candidate))
    }

    pub(crate) fn compile(&self, source: &S::AuditedSource) -> Result<S::Component, Setback> {
        self.pass(Stage::Compile, || self.stages.compile(source))
    }

    pub(crate) fn audit_component(
        &self,
        component: S::Component,
    ) -> Result<S::AuditedComponent, Setback> {
        self.pass(Stage::Component, || self.stages.audit_component(component))
    }

    pub(crate) fn probe(&self, component: S::AuditedComponent) -> Result<S::Loss, Setback> {
        self.pass(Stage::Probe, || self.stages.probe(component))
    }

    /// Trains with every seed, on whichever workers are free.
    pub(crate) fn train(&self, loss: S::Loss) -> Result<Vec<SeedResult>, Setback> {
        self.journal.tell(News::Entered { slot: self.slot, stage: Stage::Train });
        let mut trainings = Trainings::new(self.seeds.len(), &self.archived);
        let ends = self.hire(Arc::new(loss), &trainings);
        let verdict = loop {
            if let Some(verdict) = trainings.verdict() {
                break verdict;
            }
            let TrainingEnd { seed_index, worker, result } =
                ends.recv().map_err(|_| Setback::Stopped)?;
            let trained = match result {
                Ok(result) => Ok(result),
                Err(Failure::Rejected(rejection)) => Err(rejection),
                Err(Failure::Fault(fault)) => return Err(Setback::Fault(fault)),
            };
            self.journal
                .write(self.slot, Record::Training { seed_index, trained: trained.clone() })?;
            self.journal.tell(News::Trained { slot: self.slot, worker, seed_index });
            trainings.ended[seed_index] = Some(trained);
        };
        self.crew.dismiss(self.slot);
        verdict.map_err(Setback::Rejected)
    }

    pub(crate) fn evaluate(&self, trained: &[SeedResult]) -> Fitness {
        Fitness::over_seeds(trained)
    }

    fn pass<T>(
        &self,
        stage: Stage,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Setback> {
        self.journal.tell(News::Entered { slot: self.slot, stage });
        let value = work()?;
        self.journal.write(self.slot, Record::Passed { stage })?;
        Ok(value)
    }

    fn hire(&self, loss: Arc<S::Loss>, trainings: &Trainings) -> Receiver<TrainingEnd> {
        let (ended, ends) = channel();
        for seed_index in trainings.missing() {
            self.crew.hire(Job {
                slot: self.slot,
                seed_index,
                seed: self.seeds[seed_index],
                loss: Arc::clone(&loss),
                ended: ended.clone(),
            });
        }
        ends
    }
}

/// A candidate's trainings so far, by the index of their seed.
struct Trainings {
    ended: Vec<Option<Trained>>,
}

impl Trainings {
    fn new(n_seeds: usize, archived: &[(usize, Trained)]) -> Self {
        let mut ended = vec![None; n_seeds];
        for (seed_index, trained) in archived {
            ended[*seed_index] = Some(trained.clone());
        }
        Trainings { ended }
    }

    fn missing(&self) -> impl Iterator<Item = usize> {
        self.ended
            .iter()
            .enumerate()
            .filter(|(_, end)| end.is_none())
            .map(|(seed_index, _)| seed_index)
    }

    /// All results, or the rejection of the lowest seed that has one. It is only known when the seeds below are, so it
    /// does not depend on which training ends first.
    fn verdict(&self) -> Option<Result<Vec<SeedResult>, Rejection>> {
        let mut results = Vec::with_capacity(self.ended.len());
        for end in &self.ended {
            match end.as_ref()? {
                Ok(result) => results.push(result.clone()),
                Err(rejection) => return Some(Err(rejection.clone())),
            }
        }
        Some(Ok(results))
    }
}
