//! What a run is asked to do: what changes its results, and what does not.
//!
//! Everything that changes results is stored with the run and compared when it is resumed. The number of workers, the
//! folders and the endpoint's address do not change results, so they may differ from one session to the next.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sandbox::MissingLayers;
use trainer::SentimentSettings;

use crate::{Fault, baselines};

/// A run, as [`crate::run`] takes it.
#[derive(Debug, Clone)]
pub struct Config {
    /// The run's directory: the archive and the report.
    pub run_dir: PathBuf,
    /// Go on with the run in `run_dir`.
    pub resume: bool,
    /// The winner is written to the subfolder `generated` of this folder.
    pub plugins_dir: PathBuf,
    /// For what can be made again: the compiled SDK, the task's pairs.
    pub cache_dir: PathBuf,
    /// Program whose `main` calls [`sandbox::child::run_if_child`].
    pub child_program: PathBuf,
    /// What the sandbox does where this machine lacks a way to confine candidates.
    pub missing_layers: MissingLayers,
    /// Trainings at a time.
    pub workers: usize,
    /// What is searched for, and how long.
    pub search: SearchSettings,
    /// What candidates are trained on.
    pub task: SentimentSettings,
    /// The LLM proposer's endpoint.
    pub llm: LlmSettings,
}

/// What changes which candidates a run comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchSettings {
    /// Who proposes. `None`: a resumed run's own; else the LLM if there is a key; else `evolve`.
    pub proposer: Option<ProposerChoice>,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Candidates to score beside the baselines.
    pub candidates: usize,
    /// Most proposals, rejected ones included; see [`SearchSettings::proposals_for`].
    pub proposals_max: usize,
    /// Proposal n sees the outcomes of the proposals before n − lag; of those since, rejections before training.
    pub lag: usize,
    /// Trainings of each candidate, each with its own seed; the seeds are the same for all candidates.
    pub training_seeds: usize,
    /// Names of the built-in losses that open the archive.
    pub baselines: Vec<String>,
}

impl Default for SearchSettings {
    fn default() -> Self {
        const CANDIDATES: usize = 12;
        SearchSettings {
            proposer: None,
            seed: 0,
            candidates: CANDIDATES,
            proposals_max: SearchSettings::proposals_for(CANDIDATES),
            lag: 2,
            training_seeds: 3,
            baselines: known_names().map(str::to_owned).collect(),
        }
    }
}

impl SearchSettings {
    /// Five proposals for each candidate that is to be scored.
    pub fn proposals_for(candidates: usize) -> usize {
        candidates.saturating_mul(5)
    }

    pub(crate) fn check(&self) -> Result<(), Fault> {
        at_least_one("training seeds", self.training_seeds)?;
        if self.proposals_max < self.candidates {
            let (proposals, candidates) = (self.proposals_max, self.candidates);
            return Err(Fault::settings(
                format!("{proposals} proposals cannot give {candidates} candidates"),
                "allow at least as many proposals as candidates",
            ));
        }
        for (index, name) in self.baselines.iter().enumerate() {
            if baselines::named(name).is_none() {
                let known = known_names().collect::<Vec<_>>().join(", ");
                return Err(Fault::settings(
                    format!("no built-in loss is called {name}"),
                    format!("the built-in losses are {known}"),
                ));
            }
            if self.baselines[..index].contains(name) {
                return Err(Fault::settings(
                    format!("the baseline {name} is named twice"),
                    "name each once",
                ));
            }
        }
        Ok(())
    }
}

fn known_names() -> impl Iterator<Item = &'static str> {
    baselines::ALL.iter().map(|baseline| baseline.name)
}

pub(crate) fn at_least_one(name: &str, value: usize) -> Result<(), Fault> {
    match value {
        0 => Err(Fault::settings(
            format!("expected at least 1 for {name}, got 0"),
            "the default is a good place to start",
        )),
        _ => Ok(()),
    }
}

/// Who proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposerChoice {
    /// A language model behind an OpenAI-compatible endpoint.
    Llm,
    /// The built-in search: mutates and recombines loss expressions.
    Evolve,
    /// Fresh draws of the same expressions: the control.
    Random,
    /// Recorded replies.
    Replay(PathBuf),
}

impl ProposerChoice {
    /// The origin of this proposer's candidates.
    pub fn name(&self) -> &'static str {
        match self {
            ProposerChoice::Llm => "llm",
            ProposerChoice::Evolve => "evolve",
            ProposerChoice::Random => "random",
            ProposerChoice::Replay(_) => "replay",
        }
    }
}

impl fmt::Display for ProposerChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProposerChoice::Replay(path) => write!(formatter, "replay:{}", path.display()),
            _ => formatter.write_str(self.name()),
        }
    }
}

impl FromStr for ProposerChoice {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "llm" => Ok(ProposerChoice::Llm),
            "evolve" => Ok(ProposerChoice::Evolve),
            "random" => Ok(ProposerChoice::Random),
            _ => match text.strip_prefix("replay:").filter(|path| !path.is_empty()) {
                Some(path) => Ok(ProposerChoice::Replay(PathBuf::from(path))),
                None => Err(Fault::settings(
                    format!("there is no proposer {text:?}"),
                    "write llm, evolve, random or replay:FILE",
                )),
            },
        }
    }
}

/// The LLM proposer's endpoint. Only the model's name is stored with a run.
#[derive(Clone)]
pub struct LlmSettings {
    /// The model's name as the endpoint knows it.
    pub model: String,
    /// Where to ask, as in `https://api.openai.com/v1`.
    pub base_url: String,
    /// The key; `None` or empty where there is none. It is shown to nobody but the endpoint.
    pub api_key: Option<String>,
    /// Longest wait for one answer.
    pub timeout_s: u64,
    /// Most questions for the same proposal.
    pub attempts: u32,
    /// Pause before the second question; each further one is twice as long.
    pub pause_ms: u64,
    /// No question is asked again after so long. With the defaults an endpoint that turns questions away at once is
    /// given up after a minute, one that never answers after six.
    pub patience_s: u64,
}

impl Default for LlmSettings {
    fn default() -> Self {
        LlmSettings {
            model: "gpt-4o".to_owned(),
            base_url: "https://api.openai.com/v1".to_owned(),
            api_key: None,
            timeout_s: 180,
            attempts: 7,
            pause_ms: 1_000,
            patience_s: 300,
        }
    }
}

impl LlmSettings {
    /// The defaults with what `OPENAI_BASE_URL` and `OPENAI_API_KEY` say.
    pub fn from_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let defaults = LlmSettings::default();
        LlmSettings {
            base_url: set("OPENAI_BASE_URL").unwrap_or(defaults.base_url),
            api_key: set("OPENAI_API_KEY"),
            ..LlmSettings::default()
        }
    }

    pub(crate) fn has_key(&self) -> bool {
        self.api_key.as_ref().is_some_and(|key| !key.trim().is_empty())
    }
}

impl fmt::Debug for LlmSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.has_key() { "set" } else { "none" };
        formatter
            .debug_struct("LlmSettings")
            .field("model", &self.model)
            .field("base_url", &self.base_url)
            .field("api_key", &key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposer_reads_as_it_is_written() {
        for text in ["llm", "evolve", "random", "replay:runs/a b.jsonl"] {
            let choice: ProposerChoice = text.parse().expect(text);
            assert_eq!(choice.to_string(), text);
        }
        for text in ["", "replay:", "Evolve", "gpt"] {
            let fault = text.parse::<ProposerChoice>().expect_err(text);
            assert!(fault.to_string().contains("replay:FILE"), "{fault}");
        }
    }

    #[test]
    fn settings_that_cannot_be_met_are_refused() {
        let check = |change: fn(&mut SearchSettings), expected: &str| {
            let mut settings = SearchSettings::default();
            assert!(settings.check().is_ok());
            change(&mut settings);
            let fault = settings.check().expect_err(expected).to_string();
            assert!(fault.contains(expected), "{fault}");
        };
        check(|settings| settings.training_seeds = 0, "expected at least 1 for training seeds");
        check(|settings| settings.candidates = 99, "60 proposals cannot give 99 candidates");
        check(
            |settings| settings.baselines = vec!["dop".to_owned()],
            "no built-in loss is called dop",
        );
        check(|settings| settings.baselines.push("dpo".to_owned()), "named twice");
    }

    #[test]
    fn a_key_is_never_shown() {
        let settings =
            LlmSettings { api_key: Some("sk-secret".to_owned()), ..LlmSettings::default() };
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
