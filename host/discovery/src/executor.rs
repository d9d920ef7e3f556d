//! The real machinery: this machine's sandbox and the sentiment task. The one place where both meet.
//!
//! Types of one are turned into types of the other, and nothing is decided. The gates are the sandbox's, training and
//! judging the trainer's, and their order is the pipeline's.

use std::sync::mpsc::channel;

use sandbox::{
    AuditedComponent, AuditedSource, Component, Guest, Options, ProbedPlugin, Rejection, Sandbox,
    Source, Stage, source,
};
use sha2::{Digest, Sha256};
use trainer::{
    LossFailure, LossGradients, PairBatch, PreferenceLoss, Progress, Rejected, SeedResult,
    Sentiment, TrainFailure,
};

use crate::candidate::{Candidate, hex};
use crate::observer::{Event, Observer};
use crate::stages::{Failure, Stages};
use crate::{Config, Fault};

/// A sandbox and a task, ready.
#[derive(Debug)]
pub(crate) struct Executor {
    sandbox: Sandbox,
    task: Sentiment,
}

impl Executor {
    /// Finds the compiler, builds the SDK, makes the task's pairs: whatever of it the cache does not have.
    pub(crate) fn open(config: &Config, observer: &mut dyn Observer) -> Result<Self, Fault> {
        let sandbox = open_sandbox(config, observer)?;
        let mut preparing = |preparation| observer.on_event(Event::Preparing(&preparation));
        let task = Sentiment::prepare(config.task.clone(), &config.cache_dir, &mut preparing)?;
        Ok(Executor { sandbox, task })
    }

    /// Identity of what candidates are trained from: the pairs with the reference's log-probs, which differ between
    /// instruction sets too, and the base model's weights.
    pub(crate) fn task_digest(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(serde_json::to_vec(self.task.pairs()).expect("finite numbers are JSON"));
        for weight in &self.task.base().weights {
            digest.update(weight.to_le_bytes());
        }
        hex(&digest.finalize()[..8])
    }
}

/// What the sandbox says while it opens is told as it is said.
fn open_sandbox(config: &Config, observer: &mut dyn Observer) -> Result<Sandbox, Fault> {
    let (say, said) = channel::<Option<String>>();
    let opened = say.clone();
    let mut options = Options::new(&config.cache_dir, &config.child_program);
    options.missing_layers = config.missing_layers;
    // The sandbox's memory of verdicts stays off. A search hardly asks about a source twice, since duplicates are turned
    // away before the gates; what its archive says was passed was passed in this run, and baselines cost seconds beside
    // minutes of training.
    options.notify = Some(Box::new(move |text| {
        // Nobody listens once the sandbox is open.
        let _ = say.send(Some(text.to_owned()));
    }));
    std::thread::scope(|scope| {
        let opening = scope.spawn(move || {
            let sandbox = Sandbox::open(options);
            // The sandbox keeps its voice for later, so the line has no end of its own.
            let _ = opened.send(None);
            sandbox
        });
        while let Ok(Some(text)) = said.recv() {
            observer.on_event(Event::Notice(&text));
        }
        let opened = opening.join();
        Ok(opened.map_err(|_| Fault::Panic("while the sandbox was opened".to_owned()))??)
    })
}

impl Stages for Executor {
    type AuditedSource = AuditedSource;
    type Component = Component;
    type AuditedComponent = AuditedComponent;
    type Loss = ProbedPlugin;

    fn audit_source(&self, candidate: &Candidate) -> Result<AuditedSource, Failure> {
        Ok(source::audit(Source::one_file(&candidate.source))?)
    }

    fn compile(&self, source: &AuditedSource) -> Result<Component, Failure> {
        Ok(self.sandbox.compile(source)?)
    }

    fn audit_component(&self, component: Component) -> Result<AuditedComponent, Failure> {
        Ok(self.sandbox.audit(component)?)
    }

    fn probe(&self, component: AuditedComponent) -> Result<ProbedPlugin, Failure> {
        Ok(self.sandbox.probe(component)?)
    }

    fn train(
        &self,
        loss: &ProbedPlugin,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SeedResult, Failure> {
        let guest = self.sandbox.start(loss, Stage::Train)?;
        let mut loss = GuestLoss::new(guest, loss.metadata().defaults());
        Ok(self.task.train_and_score(&mut loss, seed, progress)?.0)
    }
}

/// A plugin in its process, as the trainer sees a loss.
#[derive(Debug)]
pub struct GuestLoss {
    guest: Guest,
    hyperparameters: Vec<f64>,
}

impl GuestLoss {
    /// `hyperparameters` has one value for each that the plugin declares, in that order.
    pub fn new(guest: Guest, hyperparameters: Vec<f64>) -> Self {
        GuestLoss { guest, hyperparameters }
    }
}

impl PreferenceLoss for GuestLoss {
    fn evaluate(&mut self, pairs: &PairBatch) -> Result<LossGradients, LossFailure> {
        let pairs = sandbox::Pairs {
            policy_chosen_logps: pairs.policy_chosen_logps.clone(),
            policy_rejected_logps: pairs.policy_rejected_logps.clone(),
            reference_chosen_logps: pairs.reference_chosen_logps.clone(),
            reference_rejected_logps: pairs.reference_rejected_logps.clone(),
            chosen_tokens: pairs.chosen_tokens.clone(),
            rejected_tokens: pairs.rejected_tokens.clone(),
        };
        match self.guest.evaluate(&pairs, &self.hyperparameters) {
            Ok(evaluation) => Ok(LossGradients {
                losses: evaluation.losses,
                policy_chosen: evaluation.policy_chosen,
                policy_rejected: evaluation.policy_rejected,
            }),
            Err(sandbox::Failure::Rejected(rejection)) => Err(LossFailure::Rejected(Rejected {
                rule: rejection.rule,
                message: rejection.message,
                hint: rejection.hint,
                pair: None,
            })),
            Err(sandbox::Failure::Fault(fault)) => Err(LossFailure::Fault(Box::new(fault))),
        }
    }
}

impl From<sandbox::Failure> for Failure {
    fn from(failure: sandbox::Failure) -> Self {
        match failure {
            sandbox::Failure::Rejected(rejection) => Failure::Rejected(*rejection),
            sandbox::Failure::Fault(fault) => Failure::Fault(fault.into()),
        }
    }
}

impl From<TrainFailure> for Failure {
    fn from(failure: TrainFailure) -> Self {
        match failure {
            TrainFailure::Rejected(Rejected { rule, message, hint, .. }) => {
                Failure::Rejected(Rejection::new(Stage::Train, &rule, message, hint))
            }
            TrainFailure::Fault(fault) => Failure::Fault(fault.into()),
        }
    }
}
