//! The command line of lossbox: the only code that prints.
//!
//! `main` reads the arguments, gives each subcommand to its file in `commands`, and turns the outcome into
//! an exit code: 0 done, 1 the plugin was rejected, 2 a fault of ours, of the machine or of the command line.

mod args;
mod cache;
mod commands;
mod device;
mod folder;
mod pairs_file;
mod plugin;
mod profile;
mod progress;
mod runs;
mod screen;
mod settings;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::settings::Settings;

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
            if !screen::reader_has_gone(&error) {
                screen::fault(&error);
            }
            ExitCode::from(2)
        }
    }
}

fn dispatch(args: Args) -> anyhow::Result<Outcome> {
    let settings = Settings::new(args.cache, args.accept_missing_confinement)?;
    match args.command {
        Command::Discover(args) => commands::discover::run(args, &settings),
        Command::New(args) => commands::new::run(&args),
        Command::Build(args) => commands::build::run(&args, &settings),
        Command::Audit(args) => commands::audit::run(&args, &settings),
        Command::Call(args) => commands::call::run(&args, &settings),
        Command::Plugins(args) => commands::plugins::run(&args, &settings),
        Command::Bench { subject } => commands::bench::run(&subject, &settings),
        Command::Train(args) => commands::train::run(&args, &settings),
        Command::Logps(args) => commands::logps::run(&args, &settings),
        Command::Generate(args) => commands::generate::run(&args, &settings),
        Command::Rules(args) => commands::rules::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args, &settings),
    }
}
