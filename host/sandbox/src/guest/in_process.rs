//! The inner wall alone: a plugin on a thread of the host's own process.
//!
//! Nothing here starts a process or opens a pipe, which is what speaks for it: a host that may not start processes, or
//! one that runs losses that it wrote itself.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use guest_sdk::{Metadata, Pairs};

use super::plugin::{Plugin, THREAD_STACK_BYTES};
use super::{Answer, Evaluation, Home, Problem, Recipe, Session, Variant};
use crate::child::Program;
use crate::workroom::Workroom;
use crate::{AuditedComponent, Failure, Fault, MissingLayers, Stage, Walls};

/// A plugin on a thread of this process. Dropping it ends the thread.
///
/// Everything that wasmtime enforces holds as it does for a [`Guest`](crate::Guest): fuel, the epoch deadline, bounds on
/// memory, tables and instances, a whitelist of proposals, a fresh instance for each call, and a thread with as much
/// stack as the guest may take. The same calls have the same answers and the same fuel.
///
/// What is lost is the second wall:
///
/// - a mistake in wasmtime or Cranelift that lets a guest out lets it into this process, with all that it may do;
/// - Cranelift cannot be interrupted: a component that is slow to compile holds its caller up for as long as it takes,
///   and its memory is this process's memory;
/// - what crashes the process, as an exhausted address space does, ends the host and not the candidate;
/// - wasmtime's handlers for `SIGSEGV`, `SIGBUS`, `SIGFPE` and `SIGILL` are installed in this process.
#[derive(Debug)]
pub struct InProcess(Session<OnThread>);

impl InProcess {
    pub(crate) fn start(
        recipe: Recipe,
        workroom: &Workroom,
        stage: Stage,
    ) -> Result<Self, Failure> {
        Session::start(recipe, workroom.clone(), stage).map(InProcess)
    }

    /// A plugin that kept the rules of the component gate and has not met the probe.
    ///
    /// For whoever tries what a guest can do, as a fuzzer does. Needs no sandbox, hence no compiler and no folder; a call
    /// that meets its wall clock is repeated beside whatever else runs.
    ///
    /// # Errors
    /// A rejection at `stage` if it cannot be instantiated or traps while it describes itself.
    pub fn unprobed(
        component: &AuditedComponent,
        walls: Walls,
        stage: Stage,
    ) -> Result<Self, Failure> {
        // Nothing is started here: the program is named for nobody.
        let program = Program { path: PathBuf::new(), missing: MissingLayers::Refuse };
        let recipe = Recipe::new(program, component, Variant::Training, walls);
        Self::start(recipe, &Workroom::default(), stage)
    }

    /// What the plugin says of itself, no longer than an answer may be. Whether it makes sense is for the probe to say.
    pub fn metadata(&self) -> &Metadata {
        self.0.metadata()
    }

    /// Calls the plugin in a fresh instance. The numbers may be infinite or NaN.
    ///
    /// # Errors
    /// As [`Guest::evaluate`](crate::Guest::evaluate).
    pub fn evaluate(
        &mut self,
        pairs: &Pairs,
        hyperparameters: &[f64],
    ) -> Result<Evaluation, Failure> {
        self.0.evaluate(pairs, hyperparameters)
    }
}

/// A thread that answers calls. It lives as long as its end of the calls.
#[derive(Debug)]
struct OnThread {
    calls: Option<Sender<(Pairs, Vec<f64>)>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

impl Home for OnThread {
    fn start(recipe: &Recipe) -> Result<Result<(Self, Metadata), Problem>, Fault> {
        let (calls, to_answer) = channel();
        let (answer, answers) = channel();
        let (ready, is_ready) = channel();
        let recipe = recipe.clone();
        let thread = thread::Builder::new()
            .name("lossbox guest".to_owned())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || serve(&recipe, &ready, &to_answer, &answer))
            .map_err(Fault::Thread)?;
        let home = OnThread { calls: Some(calls), answers, thread: Some(thread) };
        // A thread that panics drops its end, which is a crash like any other.
        let described = is_ready.recv().unwrap_or(Err(Problem::Crash));
        Ok(described.map(|metadata| (home, metadata)))
    }

    fn evaluate(&mut self, pairs: &Pairs, hyperparameters: &[f64]) -> Answer {
        let call = (pairs.clone(), hyperparameters.to_vec());
        let sent = self.calls.as_ref().map(|calls| calls.send(call).is_ok());
        match sent {
            Some(true) => self.answers.recv().unwrap_or(Err(Problem::Crash)),
            _ => Err(Problem::Crash),
        }
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

fn serve(
    recipe: &Recipe,
    ready: &Sender<Result<Metadata, Problem>>,
    calls: &Receiver<(Pairs, Vec<f64>)>,
    answer: &Sender<Answer>,
) {
    let plugin = Plugin::compile(&recipe.setup());
    let described = plugin.as_ref().map_err(Problem::clone).and_then(Plugin::describe);
    let is_over = described.is_err();
    // Nobody listens any more where sending fails, and then nothing is left to do.
    let _ = ready.send(described);
    let Ok(plugin) = plugin else { return };
    if is_over {
        return;
    }
    for (pairs, hyperparameters) in calls {
        if answer.send(plugin.evaluate(&pairs, &hyperparameters)).is_err() {
            return;
        }
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        drop(self.calls.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was an answer already.
            let _ = thread.join();
        }
    }
}
