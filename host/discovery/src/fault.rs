//! What is ours or the machine's fault: a full disk, a dead endpoint, a run that is in use. Every message names the
//! remedy.
//!
//! A fault ends the run, which can be resumed, and never reaches a proposer. A candidate's own fault is a rejection.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A run directory that exists, and no wish to resume.
    #[error("the run directory {} exists already\nhint: go on with it by --resume, or choose another with --run", .0.display())]
    RunExists(PathBuf),
    /// Nothing to resume.
    #[error("there is no run in {}\nhint: leave out --resume to begin one", .0.display())]
    NoRun(PathBuf),
    /// Another process works on the run.
    #[error("the run in {} is in use by another process\nhint: wait until it has ended, or end it", .0.display())]
    RunInUse(PathBuf),
    /// The run was begun with something else.
    #[error("this run was begun with other settings:{}\nhint: resume with the run's own settings, or begin another run with --run", listed(.0))]
    Differs(Vec<Difference>),
    /// Settings that cannot be met.
    #[error("{message}\nhint: {hint}")]
    Settings {
        /// What is wrong, with both numbers where there are two.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A recorded reply that cannot be read.
    #[error("{}, line {line}: {message}\nhint: each line is a JSON object with the texts \"thought\", \"name\" and \"code\"", path.display())]
    Replay {
        /// The file of recorded replies.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The LLM's endpoint does not answer as it should.
    #[error("the LLM endpoint {endpoint}: {message}\nhint: {hint}; then go on with --resume")]
    Endpoint {
        /// Its address.
        endpoint: String,
        /// What it said, without secrets.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}\nhint: check that it exists, that this user may use it, and that its disk is not full", path.display())]
    File {
        /// What was tried, as in "read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The archive could not be read or written.
    #[error("the archive {}: {source}\nhint: if the disk is full, make room and go on with --resume", path.display())]
    Archive {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The archive holds something that no lossbox wrote.
    #[error(
        "the archive holds {what} that cannot be understood: {message}\nhint: begin another run with --run"
    )]
    Damaged {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The sandbox cannot do its work.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Fault),
    /// The trainer cannot do its work.
    #[error(transparent)]
    Trainer(#[from] trainer::Fault),
    /// A bug of ours.
    #[error(
        "a worker thread panicked: {0}\nhint: this is a bug of lossbox; the run can be resumed with --resume"
    )]
    Panic(String),
    /// The system refused a thread, or what waits for the network.
    #[error(
        "cannot start {what}: {reason}\nhint: end other programs or raise their limits (ulimit -u, ulimit -n), then go on with --resume"
    )]
    Start {
        /// What was to be started.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
}

/// A setting of a run that is not what it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting's name.
    pub name: String,
    /// What the run was begun with.
    pub run: String,
    /// What it would go on with.
    pub now: String,
}

impl Fault {
    /// A file fault: for `map_err(Fault::file("read", path))`.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Fault {
        let path = path.into();
        move |source| Fault::File { action, path, source }
    }

    /// The message without its hint, for a list that has one for all.
    pub(crate) fn without_hint(&self) -> String {
        let text = self.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    }

    pub(crate) fn settings(message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault::Settings { message: message.into(), hint: hint.into() }
    }
}

fn listed(differences: &[Difference]) -> String {
    let mut text = String::new();
    for Difference { name, run, now } in differences {
        let _ = write!(text, "\n  {name}: the run has {run}, now it is {now}");
    }
    text
}
