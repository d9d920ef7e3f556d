//! What a run says of itself: one line of JSON per step and per evaluation, and the same for TensorBoard.
//!
//! Names and meanings are those that trl 1.16's `DPOTrainer` gives a step that is one batch, and an evaluation that is
//! one. No line depends on the time.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::events::EventFile;
use crate::fault::Fault;
use crate::files;
use crate::step::{PairMetrics, StepMetrics};

/// A step's line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainRecord {
    /// What the step did.
    #[serde(flatten)]
    pub step: StepMetrics,
    /// Passes over the pairs so far.
    pub epoch: f64,
    /// Tokens trained on so far, prompts counted with each completion.
    pub num_tokens: u64,
}

/// An evaluation's line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvalRecord {
    /// Steps done.
    pub step: usize,
    /// Passes over the training pairs so far.
    pub epoch: f64,
    /// Tokens trained on so far.
    #[serde(rename = "eval_num_tokens")]
    pub num_tokens: u64,
    /// What holds of the held-out pairs; its names begin with `eval_` in the file.
    #[serde(skip)]
    pub pairs: PairMetrics,
}

/// Metrics in the run folder.
#[derive(Debug)]
pub(super) struct Metrics {
    path: PathBuf,
    lines: File,
    events: EventFile,
}

impl Metrics {
    /// Goes on after `n_steps_done`; lines of what will be done again are removed, later steps and, if the last step's
    /// evaluation is due, that as well.
    pub(super) fn open(
        run: &Path,
        n_steps_done: usize,
        evaluation_due: bool,
    ) -> Result<Self, Fault> {
        let path = run.join("metrics.jsonl");
        if path.exists() {
            let done = lines_until(&files::read(&path)?, n_steps_done, evaluation_due);
            files::write(&path, &done)?;
        }
        let lines = File::options().create(true).append(true).open(&path);
        let lines = lines.map_err(|source| Fault::file("write", &path, source))?;
        let events = EventFile::create(&run.join("tensorboard"), n_steps_done + 1)?;
        Ok(Self { path, lines, events })
    }

    pub(super) fn step(&mut self, record: &TrainRecord) -> Result<(), Fault> {
        self.write(record.step.step, "train/", &fields(record))
    }

    pub(super) fn evaluation(&mut self, record: &EvalRecord) -> Result<(), Fault> {
        let mut all = fields(record);
        all.extend(fields(&record.pairs).into_iter().map(|(k, v)| (format!("eval_{k}"), v)));
        self.write(record.step, "eval/", &all)
    }

    fn write(&mut self, step: usize, group: &str, fields: &Fields) -> Result<(), Fault> {
        let line = format!("{}\n", serde_json::Value::Object(fields.clone()));
        let written = self.lines.write_all(line.as_bytes());
        written.map_err(|source| Fault::file("write", &self.path, source))?;
        let tagged =
            fields.iter().filter(|(name, _)| *name != "step").filter_map(|(name, value)| {
                let name = name.strip_prefix("eval_").unwrap_or(name);
                Some((format!("{group}{name}"), value.as_f64()?))
            });
        let tagged: Vec<_> = tagged.collect();
        self.events.scalars(step, tagged.iter().map(|(tag, value)| (tag.as_str(), *value)))
    }
}

type Fields = serde_json::Map<String, serde_json::Value>;

fn fields(record: &impl Serialize) -> Fields {
    match serde_json::to_value(record) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => unreachable!("a record is an object of numbers"),
    }
}

/// The lines of the first steps, without the last one's evaluation if that is due. A line that was cut when the process
/// ended is none.
fn lines_until(content: &[u8], n_steps: usize, evaluation_due: bool) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Line {
        step: usize,
        eval_loss: Option<f64>,
    }
    let is_done = |line: Line| {
        let is_due = evaluation_due && line.step == n_steps && line.eval_loss.is_some();
        line.step <= n_steps && !is_due
    };
    let stays = |line: &&[u8]| {
        let parsed: Result<Line, _> = serde_json::from_slice(line);
        line.ends_with(b"\n") && parsed.is_ok_and(is_done)
    };
    content.split_inclusive(|byte| *byte == b'\n').filter(stays).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_steps_that_will_be_done_again_are_removed() {
        let content =
            b"{\"step\":1}\n{\"step\":2}\n{\"step\":2,\"eval_loss\":1}\n{\"step\":3}\n{\"st";
        assert_eq!(lines_until(content, 2, false), content[..content.len() - 15]);
        assert_eq!(lines_until(content, 9, false).len(), content.len() - 4);
        assert_eq!(lines_until(content, 2, true), b"{\"step\":1}\n{\"step\":2}\n");
    }
}
