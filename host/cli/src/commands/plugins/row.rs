//! One plugin of the list: what it is, and what the gates say.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sandbox::{Failure, Fault, ProbedPlugin, Rejection, Sandbox, Scope, Span, Stage};
use serde::{Serialize, Serializer};

use crate::folder::{Entry, Form, Kind};
use crate::plugin::{printable, shown};
use crate::screen;

/// A plugin as it is listed. Serialises to what `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    /// What it is called on the command line.
    name: String,
    kind: Kind,
    form: Form,
    /// `null` for a built-in loss.
    #[serde(serialize_with = "lossy")]
    path: Option<PathBuf>,
    verdict: Verdict,
    /// SHA-256 of the component; `null` unless it was accepted.
    hash: Option<String>,
    /// SHA-256 of the file, or of the crate's files; `null` if it could not be read whole.
    source_hash: Option<String>,
    /// The candidate's identity on leaderboards; `null` unless it is a one-file loss.
    id: Option<String>,
    /// What it calls itself.
    declared_name: Option<String>,
    summary: Option<String>,
    scope: Option<&'static str>,
    hyperparameters: Vec<Range>,
    n_warnings: usize,
    stage: Option<Stage>,
    rule: Option<String>,
    message: Option<String>,
    hint: Option<String>,
    span: Option<Span>,
    /// Places of the plugins of the same name that are reached by their paths only, because this one comes first.
    shadows: Vec<String>,
    /// The place of the plugin that the name means instead.
    shadowed_by: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Accepted,
    Rejected,
    /// It is there, and cannot be read.
    Unreadable,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Range {
    name: String,
    default: f64,
    minimum: f64,
    maximum: f64,
}

impl Row {
    /// Takes the entry through the gates; `None` if it is not there any more.
    ///
    /// # Errors
    /// What is the machine's fault and not this file's.
    pub(super) fn of(sandbox: &Sandbox, entry: &Entry, all: &[Entry]) -> Result<Option<Row>> {
        let submission = match entry.read() {
            Ok(submission) => submission,
            Err(_) if !is_there(entry) => return Ok(None),
            Err(fault) => return Ok(Some(Row::unreadable(entry, all, &fault))),
        };
        let mut row = Row::new(entry, all, entry.kind(&submission));
        row.source_hash = submission.sha256().map(str::to_owned);
        let id = submission.text().map(discovery::CandidateId::of);
        row.id = id.map(|id| id.to_string());
        match sandbox.admit(&submission) {
            Ok(plugin) => row.accept(&plugin),
            Err(Failure::Rejected(rejection)) => row.reject(*rejection),
            Err(Failure::Fault(fault)) => return Err(fault.into()),
        }
        Ok(Some(row))
    }

    fn new(entry: &Entry, all: &[Entry], kind: Kind) -> Self {
        let namesakes = || all.iter().filter(|other| other.name == entry.name);
        let is_first = namesakes().next() == Some(entry);
        Row {
            name: entry.name.clone(),
            kind,
            form: entry.form,
            path: entry.path.clone(),
            verdict: Verdict::Unreadable,
            hash: None,
            source_hash: None,
            id: None,
            declared_name: None,
            summary: None,
            scope: None,
            hyperparameters: Vec::new(),
            n_warnings: 0,
            stage: None,
            rule: None,
            message: None,
            hint: None,
            span: None,
            shadows: match is_first {
                true => namesakes().skip(1).map(Entry::place).collect(),
                false => Vec::new(),
            },
            shadowed_by: match is_first {
                true => None,
                false => namesakes().next().map(Entry::place),
            },
        }
    }

    fn unreadable(entry: &Entry, all: &[Entry], fault: &Fault) -> Self {
        let (message, hint) = screen::hint_apart(&fault.to_string());
        Row { message: Some(message), hint, ..Row::new(entry, all, Kind::User) }
    }

    fn accept(&mut self, plugin: &ProbedPlugin) {
        let metadata = plugin.metadata();
        self.verdict = Verdict::Accepted;
        self.hash = Some(plugin.hash().to_owned());
        self.declared_name = Some(metadata.name.clone());
        self.summary = Some(metadata.summary.clone());
        self.scope = Some(match metadata.scope {
            Scope::Pair => "pair",
            Scope::Batch => "batch",
        });
        self.n_warnings = plugin.warnings().len();
        self.hyperparameters = metadata
            .hyperparameters
            .iter()
            .map(|hyperparameter| Range {
                name: hyperparameter.name.clone(),
                default: hyperparameter.default,
                minimum: hyperparameter.minimum,
                maximum: hyperparameter.maximum,
            })
            .collect();
    }

    fn reject(&mut self, rejection: Rejection) {
        self.verdict = Verdict::Rejected;
        self.stage = Some(rejection.stage);
        self.rule = Some(rejection.rule);
        self.message = Some(rejection.message);
        self.hint = Some(rejection.hint);
        self.span = rejection.span;
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// `None` for a built-in loss.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Name and content, as it can be typed.
    pub(super) fn identity(&self) -> String {
        let name = printable(&self.name);
        match self.hash.as_deref().or(self.source_hash.as_deref()) {
            Some(hash) => format!("{name}@{}", shown(hash)),
            None => name,
        }
    }

    /// Whether nothing has changed that a person would want to hear of.
    pub(super) fn says_the_same_as(&self, other: &Row) -> bool {
        self.source_hash.is_some()
            && self.source_hash == other.source_hash
            && self.verdict == other.verdict
            && self.rule == other.rule
    }

    /// For the columns of the list.
    pub(super) fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<&str>| text.unwrap_or("–").to_owned();
        vec![
            self.identity(),
            self.kind().to_owned(),
            self.verdict().to_owned(),
            or_dash(self.source_hash.as_deref().map(shown)),
            or_dash(self.scope),
            match self.verdict {
                Verdict::Accepted => self.n_warnings.to_string(),
                Verdict::Rejected | Verdict::Unreadable => or_dash(None),
            },
            self.ranges(),
        ]
    }

    /// On one line, for a change.
    pub(super) fn line(&self) -> String {
        let mut line = format!("{} {} {}", self.identity(), self.kind(), self.verdict());
        match self.verdict {
            Verdict::Accepted => {
                let scope = self.scope.unwrap_or_default();
                let _ = write!(line, ", scope {scope}, {} warnings", self.n_warnings);
                if !self.hyperparameters.is_empty() {
                    let _ = write!(line, ", {}", self.ranges());
                }
            }
            Verdict::Rejected | Verdict::Unreadable => line.push_str(&self.reason()),
        }
        line
    }

    /// What the columns have no room for.
    pub(super) fn remarks(&self) -> Vec<String> {
        let name = printable(&self.name);
        let mut remarks = Vec::new();
        if self.verdict != Verdict::Accepted {
            remarks.push(format!("{name} {}{}", self.verdict(), self.reason()));
        }
        if let Some(declared) = self.declared_name.as_ref().filter(|&it| *it != self.name) {
            remarks.push(format!("{name} calls itself {declared}"));
        }
        let own = self.path.as_ref().map(|path| path.display().to_string());
        let own = printable(&own.unwrap_or_default());
        if let Some(place) = &self.shadowed_by {
            remarks.push(format!("{own} is shadowed by {}", printable(place)));
        }
        // A copy of a built-in loss in its place changes nothing.
        let built_in = format!("the built-in {}", self.name);
        if self.kind != Kind::BuiltIn && self.shadows.contains(&built_in) {
            remarks.push(format!("{own} shadows the built-in {name}"));
        }
        remarks
    }

    fn reason(&self) -> String {
        let mut text = String::new();
        if let (Some(stage), Some(rule)) = (self.stage, &self.rule) {
            let _ = write!(text, " at {stage} by {rule}");
        }
        if let Some(span) = self.span {
            let _ = write!(text, " (line {}, column {})", span.line, span.column);
        }
        let message = self.message.as_deref().unwrap_or_default();
        let first_line = message.lines().next().unwrap_or_default();
        let _ = write!(text, ": {}", printable(first_line));
        // What a rejected one needs, `audit` says in full.
        if let (Verdict::Unreadable, Some(hint)) = (self.verdict, &self.hint) {
            let _ = write!(text, "; {}", printable(hint));
        }
        text
    }

    fn kind(&self) -> &'static str {
        match self.kind {
            Kind::BuiltIn => "built-in",
            Kind::Generated => "generated",
            Kind::User => "user",
        }
    }

    fn verdict(&self) -> &'static str {
        match self.verdict {
            Verdict::Accepted => "accepted",
            Verdict::Rejected => "rejected",
            Verdict::Unreadable => "unreadable",
        }
    }

    fn ranges(&self) -> String {
        let range = |range: &Range| {
            format!("{} {} ({} to {})", range.name, range.default, range.minimum, range.maximum)
        };
        let ranges: Vec<String> = self.hyperparameters.iter().map(range).collect();
        ranges.join(", ")
    }
}

/// A path as text, also where it is none.
fn lossy<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = path.as_ref().map(|path| path.display().to_string());
    text.serialize(serializer)
}

fn is_there(entry: &Entry) -> bool {
    let path = entry.path.as_ref();
    path.is_none_or(|path| path.symlink_metadata().is_ok())
}
