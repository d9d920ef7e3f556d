//! What a run is told, under the names that the command line's flags have.
//!
//! The same names stand in a configuration file and in a checkpoint; a name that is not here is refused. Not here:
//! where the loss comes from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::{BadRows, Length, Order, Truncation};
use crate::device::{DeviceName, Precision};
use crate::fault::Fault;
use crate::lora::LoraSettings;
use crate::model::{DecoderConfig, Keep};
use crate::optimizer::{Decay, OptimizerSettings, Schedule, WarmupStart};

/// Everything about a run but the loss's code. Defaults are TRL's where TRL has the setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The loss and its hyperparameters, as the user names it.
    pub loss: String,
    /// Folder of the model to train.
    pub model: PathBuf,
    /// Preference data to train on.
    pub data: PathBuf,
    /// Folder of the frozen reference; the model itself without.
    pub reference: Option<PathBuf>,
    /// Steps.
    pub steps: Option<usize>,
    /// How often every pair is trained on, where `steps` does not say how long.
    pub epochs: Option<f64>,
    /// Pairs of a step.
    pub batch_pairs: usize,
    /// Most pairs that are in memory at a time; their gradients add up to those of the step.
    pub pass_pairs: Option<usize>,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Decoupled weight decay of matrices and embeddings; norms and biases do not decay.
    pub weight_decay: f64,
    /// Decay of AdamW's mean of gradients, β₁.
    pub adam_beta1: f64,
    /// Decay of AdamW's mean of squared gradients, β₂.
    pub adam_beta2: f64,
    /// Added to AdamW's denominator, ε.
    pub adam_epsilon: f64,
    /// Steps over which the learning rate rises from 0, with which the first is done.
    pub warmup: usize,
    /// How the learning rate goes on.
    pub schedule: Schedule,
    /// Gradients of a larger norm are scaled down to it; 0 leaves them.
    pub max_grad_norm: f64,
    /// Rows in the order of the file.
    pub no_shuffle: bool,
    /// Most tokens of a prompt with its completion.
    pub max_length: Option<usize>,
    /// Which end of a longer sequence is kept.
    pub truncation: Truncation,
    /// Seed of the order of rows, and of adapters.
    pub seed: u64,
    /// Folder for the trained model; `model` in the run folder without.
    pub save: Option<PathBuf>,
    /// Folder for metrics and checkpoints.
    pub run: PathBuf,
    /// Steps between checkpoints; 0 writes one only if the run is ended early.
    pub save_every: usize,
    /// Held-out preference data.
    pub eval_data: Option<PathBuf>,
    /// Steps between evaluations; 0 evaluates once, at the end.
    pub eval_every: usize,
    /// Computes activations again in the backward pass instead of keeping them.
    pub recompute: bool,
    /// What computes.
    pub device: DeviceName,
    /// What a CUDA device stores; bf16 without.
    pub precision: Option<Precision>,
    /// Threads; all cores without.
    pub threads: Option<usize>,
    /// File for the gradients of the last step.
    pub save_gradients: Option<PathBuf>,
    /// Rows that cannot be used are counted and left out.
    pub skip_bad_rows: bool,
    /// Rank of low-rank adapters, which are trained in place of the weights.
    pub lora_rank: Option<usize>,
    /// Their scale is this over the rank; twice the rank without.
    pub lora_alpha: Option<f64>,
    /// The projections that get one, by the last part of their names; queries and values without.
    pub lora_targets: Vec<String>,
}

/// Most tokens of a sequence, unless the model's context is shorter: TRL's default.
pub const MAX_LENGTH_DEFAULT: usize = 1024;

/// A larger step than any model survives; below it no finite gradient can make a weight overflow.
const LR_MAX: f64 = 1e3;

/// α over the rank, by which adapters are scaled: as LR_MAX, more than any model survives.
const LORA_SCALE_MAX: f64 = 1e3;

/// More pairs than a step was ever made of; what holds them is taken before they are read.
const BATCH_PAIRS_MAX: usize = 1_000_000;

/// Single precision still tells it from 0, with which a parameter whose gradients were 0 would become 0/0.
const EPSILON_MIN: f64 = 1e-30;

impl Default for Settings {
    fn default() -> Self {
        Self {
            loss: String::new(),
            model: PathBuf::new(),
            data: PathBuf::new(),
            reference: None,
            steps: None,
            epochs: None,
            batch_pairs: 8,
            pass_pairs: None,
            lr: 1e-6,
            weight_decay: 0.0,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            warmup: 0,
            schedule: Schedule::Linear,
            max_grad_norm: 1.0,
            no_shuffle: false,
            max_length: None,
            truncation: Truncation::KeepStart,
            seed: 0,
            save: None,
            run: PathBuf::new(),
            save_every: 0,
            eval_data: None,
            eval_every: 0,
            recompute: false,
            device: DeviceName::Cpu,
            precision: None,
            threads: None,
            save_gradients: None,
            skip_bad_rows: false,
            lora_rank: None,
            lora_alpha: None,
            lora_targets: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads a TOML file's text.
    ///
    /// # Errors
    ///
    /// What is no TOML, or holds a name or a value that is none of ours.
    pub fn from_toml(text: &str) -> Result<Self, Fault> {
        Self::merged(text, &toml::Table::new())
    }

    /// Reads a TOML file's text, and then flags that count before it.
    ///
    /// # Errors
    ///
    /// What is no TOML, or holds a name or a value that is none of ours.
    pub fn merged(text: &str, flags: &impl Serialize) -> Result<Self, Fault> {
        let mut table: toml::Table = toml::from_str(text).map_err(unusable)?;
        let flags = toml::Table::try_from(flags).map_err(unusable)?;
        // They say the same thing in two ways: one in a flag takes the place of the other in the file.
        for (name, other) in [("steps", "epochs"), ("epochs", "steps")] {
            if flags.contains_key(name) {
                table.remove(other);
            }
        }
        table.extend(flags);
        table.try_into().map_err(unusable)
    }

    /// Refuses what no run could be done with.
    pub fn check(&self) -> Result<(), Fault> {
        let at_least_one = [
            ("steps", self.steps),
            ("batch-pairs", Some(self.batch_pairs)),
            ("pass-pairs", self.pass_pairs),
            ("threads", self.threads),
            ("lora-rank", self.lora_rank),
        ];
        for (name, value) in at_least_one {
            if value == Some(0) {
                return Err(refused(name, "1 or more", "0"));
            }
        }
        if self.batch_pairs > BATCH_PAIRS_MAX {
            let expected = format!("1 to {BATCH_PAIRS_MAX}");
            return Err(refused("batch-pairs", &expected, &self.batch_pairs.to_string()));
        }
        let below_one = 1.0f64.next_down();
        let ranges = [
            ("lr", self.lr, 0.0..=LR_MAX, "0 to 1000"),
            ("weight-decay", self.weight_decay, 0.0..=LR_MAX, "0 to 1000"),
            ("adam-beta1", self.adam_beta1, 0.0..=below_one, "0 or more and less than 1"),
            ("adam-beta2", self.adam_beta2, 0.0..=below_one, "0 or more and less than 1"),
            ("adam-epsilon", self.adam_epsilon, EPSILON_MIN..=1.0, "1e-30 to 1"),
            ("max-grad-norm", self.max_grad_norm, 0.0..=f64::MAX, "0 or more"),
            (
                "epochs",
                self.epochs.unwrap_or(1.0),
                f64::MIN_POSITIVE..=1e9,
                "more than 0, up to a thousand million",
            ),
        ];
        for (name, value, range, expected) in ranges {
            if !range.contains(&value) {
                return Err(refused(name, expected, &value.to_string()));
            }
        }
        self.lora()?;
        if self.eval_every > 0 && self.eval_data.is_none() {
            return Err(Fault::settings(
                "eval-every says how often to evaluate, but there are no held-out pairs",
                "give --eval-data FILE as well",
            ));
        }
        match (self.steps, self.epochs) {
            (None, None) => Err(Fault::settings(
                "neither steps nor epochs say how long to train",
                "give --steps N or --epochs E",
            )),
            (Some(_), Some(_)) => Err(Fault::settings(
                "steps and epochs both say how long to train",
                "give one of --steps and --epochs",
            )),
            _ => Ok(()),
        }
    }

    /// Whether a step is computed in parts, which a loss that looks at a whole batch would notice.
    pub fn accumulates(&self) -> bool {
        self.pass_pairs.is_some_and(|pass_pairs| pass_pairs < self.batch_pairs)
    }

    pub(super) fn lora(&self) -> Result<Option<LoraSettings>, Fault> {
        let Some(rank) = self.lora_rank else {
            return match (self.lora_alpha, &*self.lora_targets) {
                (None, []) => Ok(None),
                _ => Err(Fault::settings(
                    "lora-alpha and lora-targets say how adapters are, but no adapter is asked for",
                    "give --lora-rank R as well",
                )),
            };
        };
        let alpha = self.lora_alpha.unwrap_or(2.0 * rank as f64);
        let most = LORA_SCALE_MAX * rank as f64;
        if !(alpha > 0.0 && alpha <= most) {
            let expected = format!("more than 0, up to {most} with --lora-rank {rank}");
            return Err(refused("lora-alpha", &expected, &alpha.to_string()));
        }
        Ok(Some(LoraSettings { rank, alpha, targets: self.lora_targets.clone() }))
    }

    pub(super) fn optimizer(&self) -> OptimizerSettings {
        OptimizerSettings {
            learning_rate: self.lr,
            weight_decay: self.weight_decay,
            decay: Decay::Matrices,
            gradient_norm_max: (self.max_grad_norm > 0.0).then_some(self.max_grad_norm),
            beta1: self.adam_beta1,
            beta2: self.adam_beta2,
            epsilon: self.adam_epsilon,
            warmup_steps: self.warmup,
            warmup_start: WarmupStart::Zero,
            schedule: self.schedule,
        }
    }

    pub(super) fn keep(&self) -> Keep {
        match self.recompute {
            true => Keep::Streams,
            false => Keep::All,
        }
    }

    pub(super) fn order(&self) -> Order {
        match self.no_shuffle {
            true => Order::File,
            false => Order::Shuffled { seed: self.seed },
        }
    }

    pub(super) fn bad_rows(&self) -> BadRows {
        match self.skip_bad_rows {
            true => BadRows::Skip,
            false => BadRows::Stop,
        }
    }

    pub(super) fn length(&self, model: &DecoderConfig) -> Result<Length, Fault> {
        let max_tokens = self.max_length.unwrap_or(MAX_LENGTH_DEFAULT.min(model.context));
        if max_tokens > model.context {
            return Err(Fault::settings(
                format!("max-length {max_tokens} exceeds the model's context of {}", model.context),
                format!("at most --max-length {}", model.context),
            ));
        }
        Ok(Length { max_tokens: Some(max_tokens), truncation: self.truncation })
    }

    /// Which of the settings that decide differ from another run's, each with both values; none if they are the same.
    pub(super) fn deciding_otherwise(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (self.deciding(), other.deciding());
        if ours == theirs {
            return None;
        }
        let fields = |settings: &Self| serde_json::to_value(settings).unwrap_or_default();
        let (ours, theirs) = (fields(&ours), fields(&theirs));
        let names = ours.as_object().into_iter().flat_map(serde_json::Map::keys);
        let differing = names.filter(|name| ours[*name] != theirs[*name]);
        let said = differing
            .map(|name| format!("{name} was {}, is {}", shown(&theirs[name]), shown(&ours[name])));
        Some(said.collect::<Vec<_>>().join("; "))
    }

    /// What the numbers of a run follow from: the same for a run and its continuation.
    fn deciding(&self) -> Self {
        Self {
            save: None,
            run: PathBuf::new(),
            save_every: 0,
            eval_data: None,
            eval_every: 0,
            recompute: false,
            threads: None,
            save_gradients: None,
            ..self.clone()
        }
    }
}

/// How a setting reads in a message.
fn shown(value: &serde_json::Value) -> String {
    match value.is_null() {
        true => "not given".into(),
        false => value.to_string(),
    }
}

fn unusable(error: impl std::fmt::Display) -> Fault {
    let hint = "names are those of the flags of `lossbox train`, without the dashes in front";
    Fault::settings(format!("configuration: {}", error.to_string().trim_end()), hint)
}

fn refused(name: &str, expected: &str, got: &str) -> Fault {
    let hint = format!("set --{name} to {expected}");
    Fault::settings(format!("{name}: expected {expected}, got {got}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(toml: &str, reason: &str) {
        let message = Settings::from_toml(toml)
            .and_then(|settings| settings.check())
            .expect_err("must be refused")
            .to_string();
        assert!(message.contains(reason) && message.contains("hint: "), "{message}");
    }

    #[test]
    fn a_file_has_the_names_of_the_flags_and_no_others() {
        let toml =
            "model = 'm'\nbatch-pairs = 4\nschedule = 'cosine'\nno-shuffle = true\nsteps = 3";
        let settings = Settings::from_toml(toml).expect("good");
        assert_eq!((settings.batch_pairs, settings.schedule), (4, Schedule::Cosine));
        assert!(settings.no_shuffle && settings.check().is_ok());
        check_refused("batch_pairs = 4", "batch_pairs");
        check_refused("steps = -1", "configuration");
        check_refused("steps = 1\ntruncation = 'keep_middle'", "keep_end");
        check_refused("steps = 1\ndevice = 'gpu'", "expected cpu, cuda or cuda:N");
        check_refused("steps = 1\nprecision = 'fp16'", "precision");
    }

    #[test]
    fn the_optimizer_is_told_what_hugging_face_would_be() {
        let OptimizerSettings { beta1, beta2, epsilon, .. } = Settings::default().optimizer();
        assert_eq!((beta1, beta2, epsilon), (0.9, 0.999, 1e-8));
        let toml = "adam-beta1 = 0.5\nadam-beta2 = 0.75\nadam-epsilon = 1e-3";
        let OptimizerSettings { beta1, beta2, epsilon, .. } =
            Settings::from_toml(toml).expect("good").optimizer();
        assert_eq!((beta1, beta2, epsilon), (0.5, 0.75, 1e-3));
    }

    #[test]
    fn a_flag_counts_before_the_file() {
        let flags: toml::Table = toml::from_str("steps = 3\nlr = 1e-3").expect("TOML");
        let settings = Settings::merged("epochs = 1.0\nlr = 1.0\nseed = 4", &flags).expect("good");
        assert_eq!((settings.steps, settings.epochs), (Some(3), None));
        assert_eq!((settings.lr, settings.seed), (1e-3, 4));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        check_refused("", "neither steps nor epochs");
        check_refused("steps = 1\nepochs = 1.0", "both");
        check_refused("steps = 0", "steps: expected 1 or more");
        check_refused("steps = 1\nlr = nan", "lr: expected");
        check_refused("steps = 1\nlr = 1e30", "lr: expected");
        check_refused("epochs = 0.0", "epochs: expected");
        check_refused("steps = 1\nadam-beta1 = 1.0", "adam-beta1: expected");
        check_refused("steps = 1\nadam-beta2 = -0.1", "adam-beta2: expected");
        check_refused("steps = 1\nadam-epsilon = 0.0", "adam-epsilon: expected");
        check_refused("steps = 1\npass-pairs = 0", "pass-pairs: expected");
        let huge = "steps = 1\nbatch-pairs = 1000000000000";
        check_refused(huge, "batch-pairs: expected 1 to 1000000, got 1000000000000");
        check_refused("steps = 1\neval-every = 2", "--eval-data FILE");
        check_refused(
            "steps = 1\nlora-rank = 8\nlora-alpha = 8001",
            "up to 8000 with --lora-rank 8",
        );
        let wide = Settings::from_toml("steps = 1\nlora-rank = 512").expect("good");
        assert!(wide.check().is_ok(), "the default alpha is within the bound at every rank");
        check_refused("steps = 1\nmax-grad-norm = -1", "expected 0 or more, got -1");
    }
}
