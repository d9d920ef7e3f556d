//! Every number of the task in one place, with its default and why.
//!
//! Not here: how the defaults were found (docs/log.md of the project).

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::optimizer::{OptimizerSettings, WarmupStart};
use crate::train::TrainSettings;

/// The sentiment task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentimentSettings {
    /// What the policy learns from.
    pub pairs: PairSettings,
    /// How it learns.
    pub training: TrainSettings,
    /// How it is judged.
    pub evaluation: EvaluationSettings,
}

/// How preference pairs are made from completions of the base model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairSettings {
    /// Training prompts, from the first.
    pub n_prompts: usize,
    /// Completions sampled from each.
    pub n_samples: usize,
    /// Most tokens of a completion.
    pub max_tokens: usize,
    /// Pairs of each prompt: best against worst, second against second-worst, …
    pub n_pairs_per_prompt: usize,
    /// A pair is kept if the scores differ by more than this, in log-odds.
    pub score_gap_min: f64,
    /// The seed of the completions; all candidates and seeds of training share the pairs.
    pub seed: u64,
}

/// Where and how a policy is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationSettings {
    /// Steps after which the policy is judged, ascending.
    pub steps: Vec<usize>,
    /// K: training stops at the first evaluation beyond it, in nats per completion.
    pub kl_budget: f64,
    /// Held-out prompts, from the first.
    pub n_prompts: usize,
    /// Completions sampled from each.
    pub n_samples: usize,
    /// Most tokens of a completion.
    pub max_tokens: usize,
    /// Resamples of the bootstrap over prompts.
    pub n_resamples: usize,
}

/// Sized for 75 runs (25 candidates by 3 seeds) in seven minutes on two cores.
impl Default for SentimentSettings {
    fn default() -> Self {
        Self {
            pairs: PairSettings {
                n_prompts: 512,
                n_samples: 6,
                // half a sentence to two: enough for a verdict, and sampling is half of the cost
                max_tokens: 32,
                n_pairs_per_prompt: 2,
                score_gap_min: 0.5,
                seed: 0,
            },
            training: TrainSettings {
                n_steps: 32,
                // with 16, the order of the pairs moves a fitness twice as much
                pairs_per_step: 24,
                optimizer: OptimizerSettings {
                    learning_rate: 5e-4,
                    // long, so that even the fastest loss has four points below K
                    warmup_steps: 12,
                    // of 32 steps none is to be lost
                    warmup_start: WarmupStart::Share,
                    ..OptimizerSettings::default()
                },
            },
            evaluation: EvaluationSettings {
                steps: vec![4, 6, 8, 9, 12, 15, 19, 24, 32],
                kl_budget: 6.0,
                n_prompts: 64,
                n_samples: 4,
                max_tokens: 32,
                n_resamples: 1000,
            },
        }
    }
}

impl SentimentSettings {
    /// Refuses what the task's assets cannot give.
    pub(super) fn check(&self, available: &Available) -> Result<(), Fault> {
        let Self { pairs, training, evaluation } = self;
        training.check()?;
        within("pairs.n_prompts", pairs.n_prompts, 1, available.training_prompts)?;
        within("pairs.n_samples", pairs.n_samples, 2, 64)?;
        within("pairs.n_pairs_per_prompt", pairs.n_pairs_per_prompt, 1, pairs.n_samples / 2)?;
        within("pairs.max_tokens", pairs.max_tokens, 1, available.completion_tokens)?;
        within("evaluation.n_prompts", evaluation.n_prompts, 1, available.heldout_prompts)?;
        within("evaluation.n_samples", evaluation.n_samples, 1, 64)?;
        within("evaluation.max_tokens", evaluation.max_tokens, 1, available.completion_tokens)?;
        within("evaluation.n_resamples", evaluation.n_resamples, 2, 1_000_000)?;
        if !(evaluation.kl_budget > 0.0 && evaluation.kl_budget.is_finite()) {
            return Err(Fault::settings(
                format!("evaluation.kl_budget must be positive, got {}", evaluation.kl_budget),
                "the default is a good place to start",
            ));
        }
        match evaluation.steps.is_sorted_by(|left, right| left < right) {
            true => Ok(()),
            false => Err(Fault::settings(
                format!("evaluation.steps must ascend, got {:?}", evaluation.steps),
                "give each step once, in ascending order",
            )),
        }
    }
}

/// What there is to choose from.
pub(super) struct Available {
    pub training_prompts: usize,
    pub heldout_prompts: usize,
    /// Tokens that fit into the context behind the longest prompt.
    pub completion_tokens: usize,
}

fn within(name: &str, value: usize, low: usize, high: usize) -> Result<(), Fault> {
    match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(Fault::settings(
            format!("{name}: expected {low} to {high}, got {value}"),
            "the default is a good place to start",
        )),
    }
}
