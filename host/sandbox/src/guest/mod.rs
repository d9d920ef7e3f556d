//! A running plugin as the host sees it: something that answers calls, behind two walls or behind one.
//!
//! [`Guest`] is a child process: wasmtime is the inner wall, the process the outer one. Cranelift and the guest run in
//! the child, numbers cross by pipe, and whatever comes back is an allegation until it is checked. [`InProcess`] is the
//! inner wall alone, for those who ask for it by name. Both start from the same [`Recipe`], answer through the same
//! [`Session`] and judge by the same rules.

mod bounds;
mod child_process;
mod in_process;
mod patience;
mod plugin;
pub(crate) mod protocol;
pub(crate) mod rules;
pub(crate) mod runner;
mod session;
pub(crate) mod wasi;

use std::sync::Arc;
use std::time::Duration;

use guest_sdk::{Metadata, Pairs};

use crate::child::Program;
use crate::limits::Walls;
use crate::workroom::Workroom;
use crate::{AuditedComponent, Failure, Stage};
use child_process::ChildProcess;
pub use in_process::InProcess;
use session::Session;

/// Losses and gradients of one call, with what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The loss of each pair.
    pub losses: Vec<f64>,
    /// d(sum of losses)/d(policy-chosen log-prob) of each pair.
    pub policy_chosen: Vec<f64>,
    /// d(sum of losses)/d(policy-rejected log-prob) of each pair.
    pub policy_rejected: Vec<f64>,
    /// Fuel that the call took: about one unit per WebAssembly instruction, the same on every machine.
    pub fuel: u64,
    /// Where its time went.
    pub spent: Spent,
}

/// Where the processor's time of one call went, as the child tells it: for measuring, and for the probe's limit, which is a
/// guard.
///
/// What is missing of the call's whole is the pipe: two frames, two switches between processes, and giving back the
/// instance's memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Making a fresh instance.
    pub instantiate: Duration,
    /// The plugin's own work, its lists lowered into its memory and lifted out of it.
    pub evaluate: Duration,
}

/// Time is no part of what a plugin answers: two evaluations are equal however long they took.
impl PartialEq for Spent {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Which engine a plugin is compiled with. A loss must give the same bits on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Optimised, with whatever NaN the processor makes: as in training.
    Training = 0,
    /// Not optimised, every NaN the same: four to ten times slower, for the probe to compare with.
    Canonical = 1,
}

impl Variant {
    fn decode(byte: u8) -> Option<Self> {
        [Variant::Training, Variant::Canonical].into_iter().find(|&variant| byte == variant as u8)
    }
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    Fuel,
    Timeout,
    Crash,
    Trap(String),
    Guest(String),
    World(String),
}

/// What a plugin answers to a call.
type Answer = Result<Evaluation, Problem>;

/// What is needed to start a plugin, once or again.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// Program whose `main` calls [`crate::child::run_if_child`], and what it does where it cannot be confined.
    pub(crate) program: Program,
    /// The audited bytes.
    pub(crate) component: Arc<[u8]>,
    /// Whether it imports interfaces of WASI, which are then served by an empty context.
    pub(crate) wasi: bool,
    /// The engine.
    pub(crate) variant: Variant,
    /// Wall clocks.
    pub(crate) walls: Walls,
}

impl Recipe {
    pub(crate) fn new(
        program: Program,
        component: &AuditedComponent,
        variant: Variant,
        walls: Walls,
    ) -> Self {
        Recipe {
            program,
            component: component.bytes().into(),
            wasi: !component.report().imports.is_empty(),
            variant,
            walls,
        }
    }

    fn setup(&self) -> Setup<'_> {
        Setup {
            component: &self.component,
            wasi: self.wasi,
            variant: self.variant,
            clock: self.walls.call_inside,
        }
    }
}

/// The part of a [`Recipe`] that the one who runs the plugin needs.
#[derive(Debug)]
struct Setup<'a> {
    component: &'a [u8],
    wasi: bool,
    variant: Variant,
    clock: Duration,
}

/// Where a plugin runs.
trait Home: Sized {
    /// Compiles the component and asks the plugin to describe itself. The inner error is the plugin's.
    fn start(recipe: &Recipe) -> Result<Result<(Self, Metadata), Problem>, crate::Fault>;

    /// Calls the plugin in a fresh instance.
    fn evaluate(&mut self, pairs: &Pairs, hyperparameters: &[f64]) -> Answer;

    /// Whether nothing answers here any more.
    fn is_over(&self) -> bool;
}

/// A child process that holds one plugin. Dropping it ends the child.
///
/// A child that is slow, dies or talks nonsense costs this plugin and nothing else: it is killed, and every later call
/// is rejected.
#[derive(Debug)]
pub struct Guest(Session<ChildProcess>);

impl Guest {
    pub(crate) fn start(
        recipe: Recipe,
        workroom: &Workroom,
        stage: Stage,
    ) -> Result<Self, Failure> {
        Session::start(recipe, workroom.clone(), stage).map(Guest)
    }

    /// What the plugin says of itself. Lengths are bounded; whether it makes sense is for the probe to say.
    pub(crate) fn metadata(&self) -> &Metadata {
        self.0.metadata()
    }

    /// How long it took to compile the component to machine code and to hear what it says of itself: the start, without
    /// the start of the process.
    pub fn compile_time(&self) -> Duration {
        self.0.home().compile_time()
    }

    /// Calls the plugin in a fresh instance. The numbers may be infinite or NaN.
    ///
    /// A call that meets the wall clock is repeated once with every other guest and compiler of this sandbox at rest,
    /// in a new child if the old one had to be killed.
    ///
    /// # Errors
    /// A rejection if it traps, runs out of fuel, is slow twice, reports an error or returns lists of other lengths than
    /// `pairs`; a fault if the call itself is not well formed.
    pub fn evaluate(
        &mut self,
        pairs: &Pairs,
        hyperparameters: &[f64],
    ) -> Result<Evaluation, Failure> {
        self.0.evaluate(pairs, hyperparameters)
    }
}
