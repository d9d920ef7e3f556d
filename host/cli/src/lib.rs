//! The command line of lossbox: the only code that prints.
//!
//! `main` reads the arguments, gives each subcommand to its file in `commands`, and turns the outcome into
//! an exit code: 0 done, 1 the plugin was rejected, 2 a fault of ours, of the machine or of the command line.

mod args;
mod cache;
mod commands;
mod folder;
mod pairs_file;
mod plugin;
mod progress;
mod screen;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Bench, Command};

/// What a subcommand comes to when nothing went wrong on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Rejected,
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    sandbox::child::run_if_child();
    let args = Args::parse();
    match dispatch(args) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Rejected) => ExitCode::from(1),
        Err(error) => {
            screen::fault(&error);
            ExitCode::from(2)
        }
    }
}

fn dispatch(args: Args) -> anyhow::Result<Outcome> {
    plugin::accept_missing_confinement(args.accept_missing_confinement);
    let cache = cache::folder(args.cache)?;
    match args.command {
        Command::Discover(args) => commands::discover::run(args, &cache),
        Command::New(args) => commands::new::run(&args),
        Command::Build(args) => commands::build::run(&args, &cache),
        Command::Audit(args) => commands::audit::run(&args, &cache),
        Command::Call(args) => commands::call::run(&args, &cache),
        Command::Plugins(args) => commands::plugins::run(&args, &cache),
        Command::Bench {
            subject: Bench::Plugin(args),
        } => commands::bench::run(&args, &cache),
        Command::Train(args) => commands::train::run(&args, &cache),
        Command::Rules(args) => commands::rules::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args, &cache),
    }
}
