//! What is the candidate's fault: data, shown to a person and put into the next prompt in the same words.
//!
//! A rejection never stops a run. What is ours or the machine's fault is a `Fault`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Fault;
use crate::printable::printable;

/// Where in a candidate's life something happened. Time-outs and traps belong to the stage they happen in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Reading the source.
    Source,
    /// Compiling it.
    Compile,
    /// Reading the component.
    Component,
    /// Running it on the fixed probes.
    Probe,
    /// Training with it.
    Train,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Stage::Source => "source",
            Stage::Compile => "compile",
            Stage::Component => "component",
            Stage::Probe => "probe",
            Stage::Train => "train",
        })
    }
}

/// A place in the author's file; lines and columns count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// Why a candidate goes no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The gate.
    pub stage: Stage,
    /// The rule's name: one of [`rules`](crate::rules), or of whoever judges before the gates or after them, such as
    /// `train/non-finite`.
    pub rule: String,
    /// What is wrong, with both numbers where there are two. What a candidate put into it shows and steers nothing.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// Where, if it has a place in the author's file.
    pub span: Option<Span>,
}

impl Rejection {
    /// A rejection by the rule of this name, without a place.
    pub fn new(
        stage: Stage,
        rule: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Rejection {
            stage,
            rule: rule.to_owned(),
            message: printable(&message.into()),
            hint: hint.into(),
            span: None,
        }
    }

    /// The same rejection with its place in the author's file.
    #[must_use]
    pub fn at(self, span: Span) -> Self {
        Rejection { span: Some(span), ..self }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.rule, self.message)
    }
}

/// How a stage fails: the candidate's fault or ours, never mixed.
#[derive(Debug)]
pub enum Failure {
    /// The candidate's.
    Rejected(Box<Rejection>),
    /// Ours or the machine's.
    Fault(Fault),
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Failure::Rejected(Box::new(rejection))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}
