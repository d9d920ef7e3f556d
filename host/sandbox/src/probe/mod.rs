//! Gate 4: the probe. Runs the component on fixed inputs and holds its behaviour against the rules.
//!
//! The SDK makes gradients exact, but a component may come from anywhere: the numbers are the judge, not their origin.
//! Matters of taste (a constant loss, a push the wrong way) are warnings. What the probe does not cover: behaviour at
//! inputs that it does not try; a loss that turns on one exact token count passes.

mod determinism;
mod differences;
mod finite;
mod gradient;
mod inputs;
mod metadata;
mod overflow;
mod scope;
mod warnings;

use guest_sdk::{Metadata, Pairs};
use serde::Serialize;

use crate::rules::Rule;
use crate::{AuditedComponent, ComponentReport, Evaluation, Failure, Guest, Sandbox, Stage};

/// A plugin that passed every gate. Only the probe makes one.
#[derive(Debug, Clone)]
pub struct ProbedPlugin {
    component: AuditedComponent,
    metadata: Metadata,
    report: ProbeReport,
}

/// What the probe tried and found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProbeReport {
    /// Calls of `evaluate`.
    pub n_calls: usize,
    /// Pairs in all calls together.
    pub n_pairs: usize,
    /// Gradient entries (or directional derivatives, for scope `batch`) held against differences.
    pub n_gradients: usize,
    /// Gradient entries at a kink or a jump, where no difference can say what is right.
    pub n_kinks: usize,
    /// Fuel per pair in a large batch.
    pub fuel_per_pair: f64,
    /// What is odd but allowed, as sentences.
    pub warnings: Vec<String>,
}

impl ProbedPlugin {
    /// Name, summary, citation, scope, hyperparameters.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the probe tried and found.
    pub fn report(&self) -> &ProbeReport {
        &self.report
    }

    /// What the component audit measured.
    pub fn component_report(&self) -> &ComponentReport {
        self.component.report()
    }

    /// What is odd but allowed, as sentences.
    pub fn warnings(&self) -> &[String] {
        &self.report.warnings
    }

    pub(crate) fn component(&self) -> &AuditedComponent {
        &self.component
    }

    /// The component.
    pub fn bytes(&self) -> &[u8] {
        self.component.bytes()
    }

    /// SHA-256 of the component in hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.component.report().sha256
    }
}

/// The pages of this gate.
pub(crate) const RULES: [Rule; 5] = [
    metadata::RULE,
    finite::RULE,
    determinism::RULE,
    gradient::RULE,
    scope::RULE,
];

pub(crate) fn probe(
    sandbox: &Sandbox,
    component: AuditedComponent,
) -> Result<ProbedPlugin, Failure> {
    let start = || sandbox.start_audited(&component, Stage::Probe);
    let guest = start()?;
    let metadata = guest.metadata().clone();
    metadata::check(&metadata)?;
    let mut caller = Caller {
        guest,
        hyperparameters: metadata.defaults(),
        report: ProbeReport::default(),
    };
    let batches = inputs::batches();
    let evaluations = finite::check(&mut caller, &batches)?;
    caller.report.fuel_per_pair = fuel_per_pair(&evaluations);
    determinism::check(&mut caller, start()?, &batches, &evaluations)?;
    scope::check(&mut caller, &metadata, &batches, &evaluations)?;
    gradient::check(&mut caller, &metadata, &batches, &evaluations)?;
    overflow::check(&mut caller)?;
    warnings::look(&mut caller)?;
    Ok(ProbedPlugin {
        component,
        metadata,
        report: caller.report,
    })
}

/// In the largest batch, where what a call costs once hardly counts.
fn fuel_per_pair(evaluations: &[Evaluation]) -> f64 {
    let largest = evaluations
        .iter()
        .max_by_key(|evaluation| evaluation.losses.len());
    largest.map_or(0.0, |evaluation| {
        evaluation.fuel as f64 / evaluation.losses.len() as f64
    })
}

/// A guest at its default hyperparameters, with the count of what was asked.
struct Caller {
    guest: Guest,
    hyperparameters: Vec<f64>,
    report: ProbeReport,
}

impl Caller {
    fn evaluate(&mut self, pairs: &Pairs) -> Result<Evaluation, Failure> {
        self.report.n_calls += 1;
        self.report.n_pairs += pairs.len();
        self.guest.evaluate(pairs, &self.hyperparameters)
    }
}

const fn page(
    name: &'static str,
    what: &'static str,
    why: &'static str,
    hint: &'static str,
    rejected: &'static str,
) -> Rule {
    Rule {
        name,
        stage: Stage::Probe,
        what,
        why,
        hint,
        rejected,
        accepted: if rejected.is_empty() {
            ""
        } else {
            crate::source::rules::PLAIN_LOSS
        },
    }
}
