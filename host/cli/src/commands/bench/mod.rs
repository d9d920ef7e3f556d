//! `lossbox bench …`: how fast something is on this machine. Figures decide nothing.

mod cuda;
mod plugin;
mod step;

use anyhow::Result;
use trainer::TrainFailure;

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

/// A measured step has a loss of ours, so that whatever fails is ours too.
fn ours(failure: TrainFailure) -> anyhow::Error {
    match failure {
        TrainFailure::Fault(fault) => fault.into(),
        TrainFailure::Rejected(rejected) => {
            anyhow::anyhow!("{}: {}", rejected.rule, rejected.message)
        }
    }
}
