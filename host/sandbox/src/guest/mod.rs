//! A running plugin as the host sees it: a child process that answers calls.
//!
//! wasmtime is the inner wall, the process the outer one: Cranelift and the guest run in the child, numbers cross by
//! pipe, and whatever comes back is an allegation until lengths are checked. A child that is slow, dies or talks
//! nonsense costs one candidate and is killed with the handle.

pub(crate) mod protocol;
pub(crate) mod rules;
pub(crate) mod runner;

use std::io::Write;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use guest_sdk::{Metadata, Pairs};

use crate::child::Program;
use crate::limits::{CALL_WALL, GUEST_TEXT_BYTES_MAX, PAIRS_MAX, START_WALL};
use crate::{Failure, Fault, Rejection, Stage};
use protocol::{Answer, GREETING, Problem};

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
}

/// Which engine the child compiles with. A loss must give the same bits on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Optimised, with whatever NaN the processor makes: as in training.
    Training = 0,
    /// Not optimised, every NaN the same: four to ten times slower, for the probe to compare with.
    Canonical = 1,
}

impl Variant {
    /// The first frame that a child gets: one byte.
    fn decode(frame: &[u8]) -> Option<Self> {
        [Variant::Training, Variant::Canonical]
            .into_iter()
            .find(|&variant| frame == [variant as u8])
    }
}

/// A child process that holds one plugin. Dropping it ends the child.
#[derive(Debug)]
pub struct Guest {
    process: Process,
    stage: Stage,
    metadata: Metadata,
}

impl Guest {
    /// Starts the child, compiles the component in it for this engine and asks the plugin to describe itself.
    pub(crate) fn start(
        program: &Program,
        component: &[u8],
        stage: Stage,
        variant: Variant,
    ) -> Result<Self, Failure> {
        let mut process = Process::start(program)?;
        process.send(&[variant as u8]);
        process.send(component);
        let ready = process
            .receive(START_WALL)
            .map(|answer| protocol::decode_ready(&answer));
        match ready {
            Ok(Some(Ok(metadata))) => Ok(Guest {
                process,
                stage,
                metadata,
            }),
            Ok(Some(Err(problem))) | Err(problem) => Err(rejection(&problem, stage).into()),
            Ok(None) => Err(rejection(&Problem::Crash, stage).into()),
        }
    }

    /// What the plugin says of itself. Lengths are bounded; whether it makes sense is for the probe to say.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Calls the plugin in a fresh instance. The numbers may be infinite or NaN.
    ///
    /// # Errors
    /// A rejection if it traps, is slow, reports an error or returns lists of other lengths than `pairs`; a fault if
    /// the call itself is not well formed.
    pub fn evaluate(
        &mut self,
        pairs: &Pairs,
        hyperparameters: &[f64],
    ) -> Result<Evaluation, Failure> {
        self.check_call(pairs, hyperparameters)?;
        self.process
            .send(&protocol::encode_call(pairs, hyperparameters));
        let answer = self
            .process
            .receive(CALL_WALL)
            .map(|answer| protocol::decode_answer(&answer));
        match answer {
            Ok(Some(Answer::Evaluation(evaluation))) => Ok(self.checked(evaluation, pairs.len())?),
            Ok(Some(Answer::Problem(problem))) | Err(problem) => {
                Err(rejection(&problem, self.stage).into())
            }
            Ok(None) => Err(rejection(&Problem::Crash, self.stage).into()),
        }
    }

    fn check_call(&self, pairs: &Pairs, hyperparameters: &[f64]) -> Result<(), Fault> {
        pairs.check_lengths().map_err(Fault::Call)?;
        if pairs.len() > PAIRS_MAX {
            return Err(Fault::Call(format!(
                "{} pairs in one call, expected at most {PAIRS_MAX}",
                pairs.len()
            )));
        }
        let (expected, got) = (self.metadata.hyperparameters.len(), hyperparameters.len());
        if expected != got {
            return Err(Fault::Call(format!(
                "expected {expected} hyperparameters, got {got}"
            )));
        }
        Ok(())
    }

    fn checked(&self, evaluation: Evaluation, n_pairs: usize) -> Result<Evaluation, Rejection> {
        let lists = [
            ("losses", &evaluation.losses),
            ("policy-chosen gradients", &evaluation.policy_chosen),
            ("policy-rejected gradients", &evaluation.policy_rejected),
        ];
        match lists.iter().find(|(_, list)| list.len() != n_pairs) {
            None => Ok(evaluation),
            Some((name, list)) => {
                let message = format!("expected {n_pairs} {name}, got {}", list.len());
                Err(in_stage(rules::LENGTHS.rejection(message), self.stage))
            }
        }
    }
}

fn rejection(problem: &Problem, stage: Stage) -> Rejection {
    let (rule, message) = match problem {
        Problem::Fuel => (&rules::FUEL, "the call ran out of fuel".to_owned()),
        Problem::Timeout => (&rules::TIMEOUT, "the plugin took too long".to_owned()),
        Problem::Crash => (
            &rules::CRASH,
            "the plugin's process ended or answered nonsense".to_owned(),
        ),
        Problem::Trap(text) => (&rules::TRAP, format!("the plugin trapped: {text}")),
        Problem::Guest(text) => (
            &rules::ERROR,
            format!("the plugin reported an error: {text}"),
        ),
        Problem::World(text) => (&rules::WORLD, text.clone()),
    };
    in_stage(rule.rejection(printable(&message)), stage)
}

fn in_stage(rejection: Rejection, stage: Stage) -> Rejection {
    Rejection { stage, ..rejection }
}

/// A guest can put anything into a text, terminal control sequences too.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(GUEST_TEXT_BYTES_MAX)
        .collect()
}

/// The child process and its pipes.
#[derive(Debug)]
struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Receiver<Vec<u8>>,
}

impl Process {
    fn start(program: &Program) -> Result<Self, Fault> {
        let mut child = program
            .guest()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Fault::child(&program.path, error))?;
        let stdin = child.stdin.take();
        let answers = listen(child.stdout.take());
        let mut process = Process {
            child,
            stdin,
            answers,
        };
        match process.receive(START_WALL) {
            Ok(greeting) if greeting == GREETING => Ok(process),
            _ => Err(Fault::NotAChild(program.path.clone())),
        }
    }

    /// A broken pipe means that the child died: the next answer, or its absence, says of what.
    fn send(&mut self, payload: &[u8]) {
        if let Some(stdin) = &mut self.stdin {
            let _ = protocol::write_frame(stdin, payload).and_then(|()| stdin.flush());
        }
    }

    fn receive(&mut self, wall: Duration) -> Result<Vec<u8>, Problem> {
        self.answers
            .recv_timeout(wall)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => {
                    // Whether it can be killed or not, nobody listens to it any more.
                    let _ = self.child.kill();
                    Problem::Timeout
                }
                RecvTimeoutError::Disconnected => Problem::Crash,
            })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads frames until the child closes its end; a frame larger than any answer can be ends the reading.
fn listen(stdout: Option<ChildStdout>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let Some(mut stdout) = stdout else { return };
        while let Ok(Some(frame)) = protocol::read_frame(&mut stdout, protocol::ANSWER_BYTES_MAX) {
            if sender.send(frame).is_err() {
                return;
            }
        }
    });
    receiver
}
