//! Controlled sentiment: continue the beginning of a film review so that it turns out positive.
//!
//! A small language model writes completions; a scorer says how positive they are; pairs of them teach the
//! policy; completions of held-out prompts along its training tell what the loss is worth. Everything is
//! embedded in the binary and fits two CPU cores. Results depend on settings, seed and instruction set, and
//! neither on threads nor on what ran before. [`Sentiment::prepare`] comes first, then
//! [`Sentiment::train_and_score`] for each loss and seed. Not here: where a loss comes from.

mod assets;
mod cache;
mod evaluate;
mod pairs;
mod prompts;
mod scorer;
mod settings;
mod trajectory;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use self::evaluate::Evaluation;
use self::prompts::Prompts;
pub use self::scorer::{Scorer, features};
pub use self::settings::{EvaluationSettings, PairSettings, SentimentSettings};
use super::fitness::TrajectoryPoint;
use crate::fault::Fault;
use crate::model::{Model, ModelDirectory};
use crate::pairs::ReferencedPair;
use crate::step::StepMetrics;
use crate::tokenizer::Tokenizer;

/// The task, ready to train on. Shared by threads by reference.
#[derive(Debug)]
pub struct Sentiment {
    settings: SentimentSettings,
    directory: ModelDirectory,
    base: Model,
    tokenizer: Tokenizer,
    scorer: Scorer,
    heldout: Vec<Vec<u32>>,
    pairs: Vec<ReferencedPair>,
    /// The base's own rewards, per seed: the same for every candidate.
    base_evaluations: Mutex<HashMap<u64, Arc<Evaluation>>>,
}

/// What happens while the task is prepared.
#[derive(Debug, Clone, PartialEq)]
pub enum Preparation {
    /// Pairs made earlier were found.
    Found(PathBuf),
    /// A file of pairs was found and is of no use; they are made anew.
    Useless {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Completions of so many training prompts are sampled and scored.
    Sampled {
        /// Prompts done.
        n_prompts: usize,
        /// Prompts in all.
        of: usize,
    },
    /// The pairs are made and kept in the cache.
    Made {
        /// How many.
        n_pairs: usize,
        /// Where.
        path: PathBuf,
    },
}

/// What happens while a policy is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A training step is done.
    Step {
        /// What it did.
        metrics: StepMetrics,
        /// Most steps of the run.
        n_steps: usize,
    },
    /// The policy was judged.
    Evaluated(TrajectoryPoint),
}

impl Sentiment {
    /// Reads the embedded assets and finds or makes the preference pairs. The first time takes seconds.
    pub fn prepare(
        settings: SentimentSettings,
        cache_dir: &Path,
        on_event: &mut dyn FnMut(Preparation),
    ) -> Result<Self, Fault> {
        let directory = assets::base_model();
        let base = Model::load(&directory)?;
        let tokenizer = Tokenizer::parse(directory.tokenizer()?)?;
        let scorer = Scorer::parse(assets::SCORER)?;
        let mut prompts = Prompts::parse(base.decoder.config().context)?;
        settings.check(&prompts.available)?;
        prompts.train.truncate(settings.pairs.n_prompts);
        prompts.heldout.truncate(settings.evaluation.n_prompts);
        let mut task = Self {
            settings,
            directory,
            base,
            tokenizer,
            scorer,
            heldout: prompts.heldout,
            pairs: Vec::new(),
            base_evaluations: Mutex::default(),
        };
        task.pairs = task.find_or_make_pairs(&prompts.train, cache_dir, on_event)?;
        Ok(task)
    }

    fn find_or_make_pairs(
        &self,
        prompts: &[Vec<u32>],
        cache_dir: &Path,
        on_event: &mut dyn FnMut(Preparation),
    ) -> Result<Vec<ReferencedPair>, Fault> {
        let path = cache::path(cache_dir, &self.settings.pairs);
        if path.exists() {
            match cache::read(&path, self.base.decoder.config()) {
                Ok(pairs) => {
                    on_event(Preparation::Found(path));
                    return Ok(pairs);
                }
                Err(reason) => on_event(Preparation::Useless { path: path.clone(), reason }),
            }
        }
        let mut on_prompts =
            |n_prompts| on_event(Preparation::Sampled { n_prompts, of: prompts.len() });
        let settings = &self.settings.pairs;
        let pairs = pairs::make(
            &self.base,
            &self.tokenizer,
            &self.scorer,
            prompts,
            settings,
            &mut on_prompts,
        )?;
        cache::write(&path, &pairs)?;
        on_event(Preparation::Made { n_pairs: pairs.len(), path });
        Ok(pairs)
    }

    /// The settings.
    pub fn settings(&self) -> &SentimentSettings {
        &self.settings
    }

    /// The base model: where every policy starts, and the reference.
    pub fn base(&self) -> &Model {
        &self.base
    }

    /// The base model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The reward.
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// The training pairs.
    pub fn pairs(&self) -> &[ReferencedPair] {
        &self.pairs
    }

    /// Saves a policy as a Hugging Face directory, with the base's configuration and tokenizer.
    pub fn save(&self, policy: &Model, folder: &Path) -> Result<(), Fault> {
        self.directory.save_with(policy.decoder.layout(), &policy.weights, folder)
    }
}
