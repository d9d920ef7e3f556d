//! What the user said: the command line, exactly as typed.
//!
//! Turning it into what it means (settings, paths, opened sandboxes) is the work of `commands`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use serde::Serialize;
use trainer::device::{DeviceName, Precision};

/// Discover, audit and train with preference-optimisation losses.
#[derive(Debug, Parser)]
#[command(
    name = "lossbox",
    version,
    propagate_version = true,
    after_help = "Exit code: 0 done; 1 the plugin was rejected; 2 a fault of the command line, this machine or lossbox, or a \
                  discovery that scored nothing"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Folder for what can be made again: the compiled SDK, verdicts, sampled preference pairs, compiled kernels
    #[arg(long, global = true, env = "LOSSBOX_CACHE", value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Run candidates even where this machine lacks a way to confine them; `lossbox doctor` lists the ways and the risks
    #[arg(long, global = true)]
    pub(crate) accept_missing_confinement: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Search for a better loss: propose, audit, compile, probe, train, score, again
    Discover(Discover),
    /// Start a plugin of your own from a commented skeleton
    New(New),
    /// Compile a plugin to a WebAssembly component
    Build(Build),
    /// Take a plugin through every gate and say what it does and what is wrong with it
    Audit(Audit),
    /// Evaluate a plugin on preference pairs read from a JSON file
    Call(Call),
    /// List the plugins that are there, each with its verdict, hash and hyperparameters
    Plugins(Plugins),
    /// Measure how fast something is on this machine
    Bench {
        #[command(subcommand)]
        subject: Bench,
    },
    /// Train a model with one loss: the default task's, or yours with --model
    Train(Box<Train>),
    /// Print the log-probs of chosen and rejected completions under a model, row by row
    Logps(Logps),
    /// Sample completions of a prompt
    Generate(Generate),
    /// Print the rules that a plugin must keep
    Rules(Rules),
    /// Check toolchain, target, processor, GPU and LLM endpoint, with remedies
    Doctor(Doctor),
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Discover {
    /// Candidates to score beside the baselines; the run ends after 5·N proposals, rejected ones included
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub(crate) candidates: usize,
    /// Who proposes: llm, evolve, random or replay:FILE [default: llm with a key, evolve without]
    #[arg(long, value_name = "PROPOSER")]
    pub(crate) proposer: Option<String>,
    /// Model name for the LLM proposer; the endpoint is OPENAI_BASE_URL, the key OPENAI_API_KEY
    #[arg(long, value_name = "NAME")]
    pub(crate) llm: Option<String>,
    /// Seed of everything that is drawn
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Trainings of each candidate, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) seeds: usize,
    /// Run directory [default: the next free number under runs/]
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// Go on with the run in --run (or the latest one) where it stopped
    #[arg(long)]
    pub(crate) resume: bool,
    /// Trainings at a time
    #[arg(long, value_name = "N", default_value_t = default_workers())]
    pub(crate) workers: usize,
    /// Baselines to train first, by name [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) baselines: Option<Vec<String>>,
    /// Plugins folder; the winner is written to its subfolder generated/
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub(crate) plugins: PathBuf,
    /// Print the report as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct New {
    /// Name of the loss: lower case letters, digits and underscores
    pub(crate) name: String,
    /// Plugins folder
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub(crate) plugins: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) plugin: Plugin,
    /// Where to write the component [default: NAME.wasm in the current folder]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the verdict, and where the component lies, as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(crate) plugin: Plugin,
    /// Print the verdict as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Call {
    #[command(flatten)]
    pub(crate) plugin: Plugin,
    /// JSON file of preference pairs; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) pairs: PathBuf,
    /// Set a hyperparameter, as in --set beta=0.1; may be repeated for others
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print losses and gradients as one line of JSON on stdout; what JSON has no number for is "Infinity", "-Infinity"
    /// or "NaN"
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// What a call of a plugin costs, part by part, and what the same source costs natively
    Plugin(BenchPlugin),
    /// One training step of fixed work: GPT-2's architecture, random weights, the sigmoid loss, AdamW
    Step(BenchStep),
    /// A CUDA device: parity with the CPU, every operation, training steps
    Cuda(BenchCuda),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchCuda {
    /// Which card, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) ordinal: usize,
    /// Sizes for an emulated card, to see that all of it runs; the figures mean nothing
    #[arg(long)]
    pub(crate) tiny: bool,
    /// Print the figures as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchStep {
    /// Size of the step: i (4 × 128), ii (6 × 384) or iii (12 × 768)
    #[arg(long, value_name = "SIZE", default_value = "ii", value_parser = ["i", "ii", "iii"])]
    pub(crate) config: String,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threads: usize,
    /// Steps that are timed [default: as many as take a few seconds]
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Write a Chrome trace of every operation here, and show a table of where the time went
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Print the figures as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchPlugin {
    #[command(flatten)]
    pub(crate) plugin: Plugin,
    /// Preference pairs in one call
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) pairs: usize,
    /// Calls that are timed
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) calls: usize,
    /// Set a hyperparameter, as in --set beta=0.1; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print the figures as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Plugins {
    /// Plugins folder
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub(crate) plugins: PathBuf,
    /// Refuse components that import anything, WASI included
    #[arg(long)]
    pub(crate) strict: bool,
    /// Go on, audit again what changes, and print a line for each change until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print the list, and then each change, as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) flags: TrainFlags,
    /// Plugins folder in which names are looked up before the built-in losses
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub(crate) plugins: PathBuf,
    /// Refuse components that import anything, WASI included
    #[arg(long)]
    pub(crate) strict: bool,
    /// TOML file with the names of these flags; a flag overrides the file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Go on from the checkpoint in --run (or the latest run)
    #[arg(long)]
    pub(crate) resume: bool,
    /// Write a Chrome trace of every operation here, and show a table of where the time went
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Print the outcome as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// What may stand in a configuration file as well, under the same names.
#[derive(Debug, Default, PartialEq, ClapArgs, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct TrainFlags {
    /// Plugin and hyperparameters, as in dpo, dpo@HASH or dpo:beta=0.1,…
    #[arg(long, value_name = "PLUGIN[@HASH][:NAME=VALUE,…]", required_unless_present = "config")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) loss: Option<String>,
    /// Seed of training order, and of the default task's evaluation
    #[arg(long, value_name = "S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// Optimiser steps [default: the default task's, stopping early at its KL budget]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<usize>,
    /// Write the trained model here, as a Hugging Face directory
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) save: Option<PathBuf>,
    /// Model to train in Hugging Face's layout [default: the base model of the default task]
    #[arg(long, value_name = "DIR", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<PathBuf>,
    /// Preference data in TRL's format, JSONL or Parquet
    #[arg(long, value_name = "FILE", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<PathBuf>,
    /// Frozen reference [default: the model before training]
    #[arg(long, value_name = "DIR", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<PathBuf>,
    /// Passes over the data, in place of --steps
    #[arg(long, value_name = "E", conflicts_with = "steps", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epochs: Option<f64>,
    /// Pairs of a step [default: 8]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch_pairs: Option<usize>,
    /// Most pairs in memory at a time; their gradients add up [default: all of a step]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pass_pairs: Option<usize>,
    /// Learning rate after the warm-up [default: 1e-6]
    #[arg(long, value_name = "RATE", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lr: Option<f64>,
    /// Decoupled weight decay of matrices and embeddings [default: 0]
    #[arg(long, value_name = "X", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weight_decay: Option<f64>,
    /// Decay of AdamW's mean of gradients, β₁ [default: 0.9]
    #[arg(long, value_name = "B", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) adam_beta1: Option<f64>,
    /// Decay of AdamW's mean of squared gradients, β₂ [default: 0.999]
    #[arg(long, value_name = "B", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) adam_beta2: Option<f64>,
    /// Added to AdamW's denominator, ε [default: 1e-8]
    #[arg(long, value_name = "X", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) adam_epsilon: Option<f64>,
    /// Warm-up steps; the rate rises linearly from 0 [default: 0]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) warmup: Option<usize>,
    /// Learning-rate schedule after the warm-up: constant, linear to 0 or cosine to 0 [default: linear]
    #[arg(long, value_parser = ["constant", "linear", "cosine"], help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    /// Larger gradients are scaled down to this norm; 0 leaves them [default: 1]
    #[arg(long, value_name = "X", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_grad_norm: Option<f64>,
    /// Rows in the order of the file
    #[arg(long, help_heading = MODEL)]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) no_shuffle: bool,
    /// Maximum tokens of prompt and completion together [default: 1024, or the model's context]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_length: Option<usize>,
    /// Which end of a longer sequence is kept: keep_start, or keep_end of prompts, which TRL has deprecated [default: keep_start]
    #[arg(long, value_name = "END", value_parser = ["keep_start", "keep_end"], help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) truncation: Option<String>,
    /// Folder for metrics, TensorBoard events and checkpoints [default: the next free runs/train-N]
    #[arg(long, value_name = "DIR", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<PathBuf>,
    /// Steps between checkpoints; 0 writes one only when the run ends early [default: 0]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) save_every: Option<usize>,
    /// Held-out preference data
    #[arg(long, value_name = "FILE", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eval_data: Option<PathBuf>,
    /// Steps between evaluations; 0 evaluates at the end [default: 0]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eval_every: Option<usize>,
    /// Compute activations again in the backward pass instead of keeping them
    #[arg(long, help_heading = MODEL)]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) recompute: bool,
    /// What computes: cpu, cuda or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<DeviceName>,
    /// Number format on a CUDA device: bf16, or f32 to compare with the CPU [default: bf16]
    #[arg(long, value_name = "TYPE", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) precision: Option<Precision>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<usize>,
    /// Write the last step's gradients here, as safetensors under Hugging Face's names
    #[arg(long, value_name = "FILE", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) save_gradients: Option<PathBuf>,
    /// Leave out and count rows that cannot be used, instead of ending
    #[arg(long, help_heading = MODEL)]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) skip_bad_rows: bool,
    /// Train low-rank adapters of this rank in place of the weights; they are saved in peft's format
    #[arg(long, value_name = "R", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lora_rank: Option<usize>,
    /// The adapters' scale is this over their rank [default: twice the rank]
    #[arg(long, value_name = "X", help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lora_alpha: Option<f64>,
    /// Projections that get one [default: q_proj,v_proj, or c_attn for GPT-2]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', help_heading = MODEL)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lora_targets: Option<Vec<String>>,
}

const MODEL: &str = "Training a model of your own";

impl TrainFlags {
    /// Whether something was said that the default task knows nothing of.
    pub(crate) fn needs_model(&self) -> bool {
        let known = Self {
            loss: self.loss.clone(),
            seed: self.seed,
            steps: self.steps,
            save: self.save.clone(),
            ..Self::default()
        };
        known != *self
    }
}

/// What computes a model that is asked.
#[derive(Debug, ClapArgs)]
pub(crate) struct On {
    /// What computes: cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub(crate) device: DeviceName,
    /// Number format on a CUDA device: bf16, or f32 to compare with the CPU [default: bf16]
    #[arg(long, value_name = "TYPE")]
    pub(crate) precision: Option<Precision>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logps {
    /// Model in Hugging Face's layout: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Low-rank adapters of the model in peft's layout: adapter_config.json, adapter_model.safetensors
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// Preference data in TRL's format, JSONL or Parquet
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Maximum tokens of prompt and completion together [default: as many as there are]
    #[arg(long, value_name = "N")]
    pub(crate) max_length: Option<usize>,
    /// Leave out and count rows that cannot be used, instead of ending
    #[arg(long)]
    pub(crate) skip_bad_rows: bool,
    /// With --json: the log-probs of single tokens as well
    #[arg(long, requires = "json")]
    pub(crate) per_token: bool,
    #[command(flatten)]
    pub(crate) on: On,
    /// Print each row as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Generate {
    /// Model in Hugging Face's layout: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Low-rank adapters of the model in peft's layout: adapter_config.json, adapter_model.safetensors
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// Text to complete
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: String,
    /// Maximum tokens of a completion
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) max_tokens: usize,
    /// Sampling temperature; 0 always takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub(crate) temperature: f64,
    /// Seed of what is drawn
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Number of completions
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) n: usize,
    /// Always the likeliest token
    #[arg(long, conflicts_with = "temperature")]
    pub(crate) greedy: bool,
    #[command(flatten)]
    pub(crate) on: On,
    /// Print each completion as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rules {
    /// Only this rule, as in source/no-include
    pub(crate) name: Option<String>,
    /// Print them as docs/rules.md has them
    #[arg(long, conflicts_with = "name")]
    pub(crate) markdown: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// Print the findings as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// A plugin as the user names it.
#[derive(Debug, ClapArgs)]
pub(crate) struct Plugin {
    /// Name in the plugins folder or of a built-in loss, or a path: .rs, a crate's folder or .wasm; NAME@HASH takes this
    /// content only, where HASH is the component's, the source file's or the candidate's (as in a leaderboard)
    #[arg(value_name = "PLUGIN")]
    pub(crate) plugin: String,
    /// Plugins folder in which names are looked up before the built-in losses
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub(crate) plugins: PathBuf,
    /// Refuse components that import anything, WASI included
    #[arg(long)]
    pub(crate) strict: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls gets a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// One training a core, but two at most: more candidates in flight change nothing else.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(2))
}
