//! What can be done to a candidate, one method for each arrow of the pipeline.
//!
//! A search knows its machinery only through this trait: `executor` implements it with the real sandbox and trainer,
//! tests with something that takes microseconds. Nothing here decides in which order things happen.

use sandbox::Rejection;
use trainer::{Progress, SeedResult};

use crate::Fault;
use crate::candidate::Candidate;

/// The machinery that judges candidates. Every result depends on the arguments alone.
pub(crate) trait Stages: Sync {
    /// Source that kept the rules.
    type AuditedSource;
    /// Compiled source.
    type Component;
    /// A component that kept the rules.
    type AuditedComponent;
    /// A loss that can be trained with.
    type Loss: Send + Sync;

    /// Gate 1.
    fn audit_source(&self, candidate: &Candidate) -> Result<Self::AuditedSource, Failure>;

    /// Gate 2.
    fn compile(&self, source: &Self::AuditedSource) -> Result<Self::Component, Failure>;

    /// Gate 3.
    fn audit_component(
        &self,
        component: Self::Component,
    ) -> Result<Self::AuditedComponent, Failure>;

    /// Gate 4.
    fn probe(&self, component: Self::AuditedComponent) -> Result<Self::Loss, Failure>;

    /// Trains a policy with the loss and judges it along the way.
    fn train(
        &self,
        loss: &Self::Loss,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SeedResult, Failure>;
}

/// How a stage fails: the candidate's fault or ours, never mixed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The candidate's.
    Rejected(Rejection),
    /// Ours or the machine's.
    Fault(Fault),
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Failure::Rejected(rejection)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}
