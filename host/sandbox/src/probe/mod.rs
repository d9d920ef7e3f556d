//! Gate 4: the probe. Runs the component on chosen and drawn inputs and holds its behaviour against the rules.
//!
//! The SDK makes gradients exact, but a component may come from anywhere: the numbers are the judge, not their origin.
//! Matters of taste (a constant loss, a push the wrong way, kinks, jumps) are warnings. What the probe does not cover:
//! behaviour at inputs that it does not try. A loss that is another one for a single margin, for two lengths at once (but
//! for lengths beside 100) or for batches of a single size that is not tried (most above 64 pairs are not) passes; so does
//! one that drifts by less than rounding. At other hyperparameters than the defaults only gradients are checked, at half
//! and at twice each, and whether numbers are finite is told.

mod backdoor;
mod bends;
mod determinism;
mod differences;
mod finite;
mod gradient;
mod hyperparameters;
mod inputs;
mod metadata;
mod overflow;
mod path;
mod scope;
mod sizes;
#[cfg(test)]
mod tests;
mod warnings;

use std::thread;
use std::time::{Duration, Instant};

use guest_sdk::{Metadata, Pairs};
use serde::{Deserialize, Serialize};

pub use self::bends::{BendKind, BendReport};
pub use self::overflow::Overflow;
use crate::guest::Variant;
use crate::guest::rules::TIMEOUT;
use crate::limits::PROBE_WALL;
use crate::rules::Rule;
use crate::{AuditedComponent, ComponentReport, Evaluation, Failure, Guest, Sandbox, Stage};

/// A plugin that passed every gate. Only the probe makes one, now or as the cache remembers it.
#[derive(Debug, Clone)]
pub struct ProbedPlugin {
    component: AuditedComponent,
    metadata: Metadata,
    report: ProbeReport,
}

/// What the probe tried and found. Counts are exact: they are made where the call is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Calls of `evaluate`, each in an instance of its own.
    pub n_calls: usize,
    /// Pairs in all calls together.
    pub n_pairs: usize,
    /// Engines, in processes of their own, that gave the same bits: one as in training, one that does not optimise and
    /// makes every NaN the same.
    pub n_engines: usize,
    /// Permutations and parts of batches that were tried.
    pub n_arrangements: usize,
    /// Token counts that were tried one by one, from 1 to 2²⁰, for chosen and for rejected completions.
    pub n_token_counts: usize,
    /// Gradient entries (or directional derivatives, for scope `batch`) held against differences.
    pub n_gradients: usize,
    /// Gradient entries at a kink, between the slopes on its two sides.
    pub n_kinks: usize,
    /// Gradient entries at a jump, equal to the slope of the side to which the place belongs.
    pub n_jumps: usize,
    /// Gradient entries that the rounding of the loss hides.
    pub n_unseen: usize,
    /// Fuel per pair in the largest batch.
    pub fuel_per_pair: f64,
    /// Where the loss bends or jumps along a few lines through the log-probs.
    pub bends: Vec<BendReport>,
    /// From where on the loss is infinite, if it is anywhere.
    pub overflow: Option<Overflow>,
    /// What is odd but allowed, as sentences.
    pub warnings: Vec<String>,
}

impl ProbedPlugin {
    /// For the cache alone: what the probe found earlier of a component that has just passed its audit again.
    pub(crate) fn remembered(
        component: AuditedComponent,
        metadata: Metadata,
        report: ProbeReport,
    ) -> Self {
        ProbedPlugin { component, metadata, report }
    }

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
pub(crate) const RULES: [Rule; 6] =
    [metadata::RULE, finite::RULE, determinism::RULE, scope::RULE, gradient::RULE, backdoor::RULE];

pub(crate) fn probe(
    sandbox: &Sandbox,
    component: AuditedComponent,
) -> Result<ProbedPlugin, Failure> {
    let start = |variant| sandbox.start_audited(&component, Stage::Probe, variant);
    // Most of a start is Cranelift's, in a process of its own: the two do not wait for each other where cores are at rest.
    let (guest, other) = thread::scope(|scope| {
        let other = scope.spawn(|| start(Variant::Canonical));
        let guest = start(Variant::Training);
        (guest, other.join().expect("a start does not panic"))
    });
    let mut guest = guest?;
    let metadata = guest.metadata().clone();
    metadata::check(&metadata)?;
    let mut other = other?;
    let other_metadata = other.metadata().clone();
    let report = examine(
        &mut guest,
        (&mut other, &other_metadata),
        &metadata,
        seed(&component.report().sha256),
    )?;
    Ok(ProbedPlugin { component, metadata, report })
}

/// Everything that is asked of a plugin, in the order of how fast it is told.
fn examine(
    plugin: &mut dyn Plugin,
    other: (&mut dyn Plugin, &Metadata),
    metadata: &Metadata,
    seed: u64,
) -> Result<ProbeReport, Failure> {
    let mut caller = Caller {
        plugin,
        hyperparameters: metadata.defaults(),
        report: ProbeReport::default(),
        first_bend: None,
        taken: Duration::ZERO,
    };
    let batches = inputs::batches(seed);
    let evaluations = finite::check(&mut caller, &batches)?;
    caller.report.fuel_per_pair = fuel_per_pair(&evaluations);
    determinism::check(&mut caller, other, metadata, &batches, &evaluations)?;
    scope::check(&mut caller, metadata, &batches, &evaluations)?;
    let parts = sizes::check(&mut caller, metadata, &batches, &evaluations, seed)?;
    gradient::check(&mut caller, metadata, &batches, &evaluations, &parts)?;
    overflow::check(&mut caller)?;
    backdoor::check(&mut caller, metadata)?;
    bends::locate(&mut caller, metadata)?;
    warnings::look(&mut caller, metadata)?;
    hyperparameters::look(&mut caller, metadata, &batches)?;
    Ok(caller.report)
}

/// The first 64 bits of the component's hash.
fn seed(sha256: &str) -> u64 {
    sha256.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// In the largest batch, where what a call costs once hardly counts.
fn fuel_per_pair(evaluations: &[Evaluation]) -> f64 {
    let largest = evaluations.iter().max_by_key(|evaluation| evaluation.losses.len());
    largest.map_or(0.0, |evaluation| evaluation.fuel as f64 / evaluation.losses.len() as f64)
}

fn is_finite(evaluation: &Evaluation) -> bool {
    numbers(evaluation).all(f64::is_finite)
}

/// Losses and gradients, one after the other.
fn numbers(evaluation: &Evaluation) -> impl Iterator<Item = f64> {
    let lists = [&evaluation.losses, &evaluation.policy_chosen, &evaluation.policy_rejected];
    lists.into_iter().flatten().copied()
}

/// What answers the probe's calls: a guest, or a function in a test.
trait Plugin {
    fn evaluate(&mut self, pairs: &Pairs, hyperparameters: &[f64]) -> Result<Evaluation, Failure>;
}

impl Plugin for Guest {
    fn evaluate(&mut self, pairs: &Pairs, hyperparameters: &[f64]) -> Result<Evaluation, Failure> {
        Guest::evaluate(self, pairs, hyperparameters)
    }
}

/// A plugin at its default hyperparameters, with the count of what was asked.
struct Caller<'p> {
    plugin: &'p mut dyn Plugin,
    hyperparameters: Vec<f64>,
    report: ProbeReport,
    /// Where a gradient was first checked at a kink or a jump.
    first_bend: Option<String>,
    /// Time of all calls so far, for [`PROBE_WALL`].
    taken: Duration,
}

impl Caller<'_> {
    fn count(&mut self, tally: gradient::Tally) {
        self.report.n_gradients += tally.n;
        self.report.n_kinks += tally.n_kinks;
        self.report.n_jumps += tally.n_jumps;
        self.report.n_unseen += tally.n_unseen;
        self.first_bend = self.first_bend.take().or(tally.first_bend);
    }

    fn evaluate(&mut self, pairs: &Pairs) -> Result<Evaluation, Failure> {
        self.begin(pairs)?;
        let start = Instant::now();
        let outcome = self.plugin.evaluate(pairs, &self.hyperparameters);
        self.end(start, pairs, outcome)
    }

    /// Asks another plugin, and counts it too.
    fn evaluate_with(
        &mut self,
        other: &mut dyn Plugin,
        pairs: &Pairs,
    ) -> Result<Evaluation, Failure> {
        self.begin(pairs)?;
        let start = Instant::now();
        let outcome = other.evaluate(pairs, &self.hyperparameters);
        self.end(start, pairs, outcome)
    }

    /// Counts a call, unless the calls before it took all the time that there is.
    fn begin(&mut self, pairs: &Pairs) -> Result<(), Failure> {
        if self.taken > PROBE_WALL {
            let message = format!(
                "{} calls of the probe took more than {} s together",
                self.report.n_calls,
                PROBE_WALL.as_secs()
            );
            return Err(TIMEOUT.rejection(message).into());
        }
        self.report.n_calls += 1;
        self.report.n_pairs += pairs.len();
        Ok(())
    }

    fn end(
        &mut self,
        start: Instant,
        pairs: &Pairs,
        outcome: Result<Evaluation, Failure>,
    ) -> Result<Evaluation, Failure> {
        // The host's clock would count the wait for a guest that runs alone, which is not this plugin's doing.
        self.taken += match &outcome {
            Ok(evaluation) => evaluation.spent.instantiate + evaluation.spent.evaluate,
            Err(_) => start.elapsed(),
        };
        outcome.map_err(|failure| met_with(failure, pairs))
    }
}

/// Says which pairs a plugin was asked about when it failed, so that its author can ask the same.
fn met_with(failure: Failure, pairs: &Pairs) -> Failure {
    let Failure::Rejected(mut rejection) = failure else {
        return failure;
    };
    let tokens = pairs.chosen_tokens.iter().chain(&pairs.rejected_tokens);
    let (shortest, longest) =
        tokens.fold((u32::MAX, 0), |(low, high), &n| (low.min(n), high.max(n)));
    let asked = match pairs.len() {
        1 => finite::place("one pair", pairs, 0),
        n => format!("a call with {n} pairs of {shortest} to {longest} tokens"),
    };
    rejection.message = format!("{} ({asked})", rejection.message);
    Failure::Rejected(rejection)
}
