//! `lossbox bench step`: one training step of fixed work, as `tests/peers/bench_step.py` has PyTorch do it.

use anyhow::{Context, Result, ensure};
use trainer::bench::{StepReport, StepSize, time_steps};

use crate::args::BenchStep;
use crate::{Outcome, profile, screen};

/// Useful arithmetic of all timed steps together, in GFLOP: a few seconds at a usual speed, so more steps where they are short.
const GFLOP: f64 = 3_000.0;

pub(crate) fn run(args: &BenchStep) -> Result<Outcome> {
    let size = StepSize::named(&args.config).context("sizes are checked when they are parsed")?;
    ensure!(args.threads > 0, "--threads 0 computes nothing: expected 1 or more");
    ensure!(args.steps != Some(0), "--steps 0 measures nothing: expected 1 or more");
    let n_steps = args.steps.unwrap_or(((GFLOP / (size.flop()? * 1e-9)) as usize).clamp(10, 100));
    let profile = profile::start(args.profile.as_deref())?;
    let report = time_steps(size, args.threads, n_steps).map_err(super::ours)?;
    match args.json {
        true => screen::json(&report)?,
        false => screen::data(&table(args, &report))?,
    }
    if let Some(profile) = profile {
        profile.finish()?;
    }
    Ok(Outcome::Done)
}

fn table(args: &BenchStep, report: &StepReport) -> String {
    let StepReport { median_ms, min_ms, forward_ms, backward_ms, optimizer_ms, .. } = report;
    let memory = report.peak_rss_mb.map_or("unknown".into(), |mb| format!("{mb:.0} MB"));
    format!(
        "step {} on {} threads, {} steps\n\
         median {median_ms:.1} ms, shortest {min_ms:.1} ms; {:.0} tokens/s\n\
         forward {forward_ms:.1} ms, backward {backward_ms:.1} ms, norm and update {optimizer_ms:.1} ms\n\
         {:.1} GFLOP/s of useful arithmetic, {:.0} % of the {:.1} GFLOP/s that a product of 1024³ reaches\n\
         peak memory {memory}\n",
        args.config,
        args.threads,
        report.steps,
        report.tokens_per_s,
        report.gflop_per_s,
        100.0 * report.share_of_peak,
        report.gemm_peak_gflop_per_s,
    )
}
