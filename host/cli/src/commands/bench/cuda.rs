//! `lossbox bench cuda`: what a card computes and how fast, as `tests/peers/bench_cuda.py` has PyTorch do the steps.

use anyhow::{Result, bail};
use trainer::bench::cuda::{CudaReport, Extent, measure};
use trainer::device::open_cuda;

use crate::args::BenchCuda;
use crate::settings::Settings;
use crate::{Outcome, device, screen};

pub(crate) fn run(args: &BenchCuda, settings: &Settings) -> Result<Outcome> {
    let card = open_cuda(args.ordinal, Some(&device::kernels(settings)))?;
    let extent = match args.tiny {
        true => Extent::Tiny,
        false => Extent::Full,
    };
    let report = measure(&card, extent).map_err(super::ours)?;
    match args.json {
        true => screen::json(&report)?,
        false => screen::data(&table(&report))?,
    }
    if let Some(parity) = report.parity.iter().find(|parity| !parity.good) {
        bail!(
            "{} in {:?} differs from the CPU: log-probs by {:.1e}, gradients by {:.1e}\nhint: this is a mistake of ours \
             or of the card: `cargo test -p lossbox-kernels --test cuda` says which operation it is",
            parity.model,
            parity.precision,
            parity.logps,
            parity.gradients
        );
    }
    Ok(Outcome::Done)
}

fn table(report: &CudaReport) -> String {
    let mut lines = vec![format!(
        "{}: a copy reaches {:.0} GB/s, a product in bf16 {:.1} TFLOP/s",
        report.device, report.peak_gb_per_s, report.peak_tflop_per_s
    )];
    for parity in &report.parity {
        lines.push(format!(
            "{} in {:?} beside the CPU: log-probs off by {:.1e}, gradients by {:.1e}",
            parity.model, parity.precision, parity.logps, parity.gradients
        ));
    }
    for operation in &report.operations {
        lines.push(format!(
            "{:<26} {:>10.1} us {:>8.0} GB/s {:>8.2} TFLOP/s {:>4.0} % of the peak",
            operation.operation,
            operation.us,
            operation.gb_per_s,
            operation.tflop_per_s,
            100.0 * operation.share_of_peak
        ));
    }
    for step in &report.steps {
        lines.push(match (&step.figures, &step.fault) {
            (Some(figures), _) => format!(
                "{}: {:.1} ms a step of {} tokens, {:.0} tokens/s, {:.0} % MFU, {:.0} MB",
                step.model,
                figures.median_ms,
                step.tokens,
                figures.tokens_per_s,
                100.0 * figures.mfu,
                figures.memory_mb
            ),
            (None, fault) => {
                format!("{}: {}", step.model, fault.as_deref().unwrap_or("no figures"))
            }
        });
    }
    for refused in &report.refused_epilogues {
        lines.push(format!(
            "{} of [{}, {}]·[{}, {}] in {} is done by kernels: {}",
            refused.epilogue,
            refused.m,
            refused.k,
            refused.k,
            refused.n,
            refused.real,
            refused.reason
        ));
    }
    if let Some(reason) = &report.refused_capture {
        lines.push(format!("a part of each step at least is launched kernel by kernel: {reason}"));
    }
    lines.join("\n") + "\n"
}
