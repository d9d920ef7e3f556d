//! What the user said: the command line, exactly as typed.
//!
//! Turning it into what it means (settings, paths, opened sandboxes) is the work of `commands`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

/// Discover, audit and train with preference-optimisation losses.
#[derive(Debug, Parser)]
#[command(name = "lossbox", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Folder for what can be made again: the compiled SDK, verdicts, sampled preference pairs
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
    /// Train the task's base model with one loss and measure the policy
    Train(Train),
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
    /// Set a hyperparameter, as in --set beta=0.1; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print losses and gradients as one line of JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// What a call of a plugin costs, part by part, and what the same source costs natively
    Plugin(BenchPlugin),
    /// One training step of fixed work: GPT-2's architecture, random weights, the sigmoid loss, AdamW
    Step(BenchStep),
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
    /// Plugin and hyperparameters, as in dpo, dpo@HASH or dpo:beta=0.1,…
    #[arg(long, value_name = "PLUGIN[@HASH][:NAME=VALUE,…]")]
    pub(crate) loss: String,
    /// Plugins folder in which names are looked up before the built-in losses
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub(crate) plugins: PathBuf,
    /// Seed of training order and evaluation
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Optimiser steps [default: the task's, stopping early at its KL budget]
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Write the trained model here, as a Hugging Face directory
    #[arg(long, value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,
    /// Refuse components that import anything, WASI included
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print the trajectory as one line of JSON on stdout
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
    /// content only
    #[arg(value_name = "PLUGIN")]
    pub(crate) plugin: String,
    /// Plugins folder in which names are looked up before the built-in losses
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub(crate) plugins: PathBuf,
    /// Refuse components that import anything, WASI included
    #[arg(long)]
    pub(crate) strict: bool,
}

/// One training a core, but two at most: more candidates in flight change nothing else.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(2))
}
