//! `lossbox bench …`: how fast something is on this machine. Figures decide nothing.

mod cuda;
mod plugin;
mod step;

use anyhow::Result;

use crate::Outcome;
use crate::args::Bench;
use crate::settings::Settings;

pub(crate) fn run(subject: &Bench, settings: &Settings) -> Result<Outcome> {
    match subject {
        Bench::Plugin(args) => plugin::run(args, settings),
        Bench::Step(args) => step::run(args),
        Bench::Cuda(args) => cuda::run(args, settings),
    }
}
