//! `lossbox bench plugin NAME`: what a call of a plugin costs, part by part, and what the same source costs natively.
//!
//! Everything is measured where it is used: calls go through the confined child, which tells how long the instance and
//! the plugin took; the rest of a call is its overhead. Wasm and native take turns, so that whatever else the machine
//! does hits both. Figures are medians with quartiles; none of them decides anything.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use catalogue::Published;
use sandbox::limits::PAIRS_MAX;
use sandbox::{Failure, Pairs, ProbedPlugin, Sandbox, Stage};
use serde_json::{Map, Value, json};

use crate::args::BenchPlugin;
use crate::plugin::Named;
use crate::settings::Settings;
use crate::{Outcome, plugin, screen};

/// Starts of the child that are timed.
const N_STARTS: usize = 20;
/// Rounds before the first that counts: caches fill and the processor speeds up.
const N_WARM_UP: usize = 20;
/// Pairs of one native measurement: enough calls to last far longer than the clock's tick.
const NATIVE_PAIRS: usize = 4_096;

pub(crate) fn run(args: &BenchPlugin, settings: &Settings) -> Result<Outcome> {
    ensure!(
        (1..=PAIRS_MAX).contains(&args.pairs),
        "--pairs {} is out of range: expected 1 to {PAIRS_MAX}",
        args.pairs
    );
    ensure!(args.calls > 0, "--calls 0 measures nothing");
    let (sandbox, named, loaded) = plugin::load(&args.plugin, settings)?;
    let outcome = match loaded {
        Err(rejection) => Err(rejection),
        Ok(probed) => {
            let call = Call {
                pairs: pairs(args.pairs),
                hyperparameters: plugin::hyperparameters(&probed, &args.set)?,
                native: native_twin(&named),
                n_calls: args.calls,
            };
            let measured = plugin::rejection_apart(measure(&sandbox, &probed, &call))?;
            measured.map(|samples| (probed, samples))
        }
    };
    match outcome {
        Ok((probed, samples)) => {
            show(args, &probed, &figures(&samples, args.pairs))?;
            Ok(Outcome::Done)
        }
        Err(rejection) => {
            screen::rejection(&rejection);
            Ok(Outcome::Rejected)
        }
    }
}

/// What is called, and how often.
struct Call {
    pairs: Pairs,
    hyperparameters: Vec<f64>,
    native: Option<&'static Published>,
    n_calls: usize,
}

/// The published loss that is made from the very text of this plugin.
fn native_twin(named: &Named) -> Option<&'static Published> {
    let text = named.submission.text()?;
    catalogue::ALL.iter().find(|published| published.source == text)
}

/// Log-ratios of a few nats either way, as training meets them: multiples of the golden and of the silver ratio fall
/// evenly between 0 and 1.
fn pairs(n_pairs: usize) -> Pairs {
    let logratio = |row: usize, ratio: f64| 8.0 * ((ratio * row as f64).fract() - 0.5);
    let list = |logp: &dyn Fn(usize) -> f64| (0..n_pairs).map(logp).collect();
    let reference = |row: usize| -20.0 - (7 * row % 31) as f64;
    Pairs {
        policy_chosen_logps: list(&|row| reference(row) + logratio(row, 0.618_033_988)),
        policy_rejected_logps: list(&|row| reference(row) + logratio(row, 0.414_213_562)),
        reference_chosen_logps: list(&reference),
        reference_rejected_logps: list(&reference),
        chosen_tokens: (0..n_pairs as u32).map(|row| 5 + row % 13).collect(),
        rejected_tokens: (0..n_pairs as u32).map(|row| 4 + row % 17).collect(),
    }
}

/// One duration per repetition.
#[derive(Default)]
struct Samples {
    ready: Vec<Duration>,
    compile: Vec<Duration>,
    instantiate: Vec<Duration>,
    /// Inside the child, all pairs.
    evaluate: Vec<Duration>,
    /// Through the child, all pairs.
    call: Vec<Duration>,
    overhead: Vec<Duration>,
    /// Through the child, one pair.
    call_one: Vec<Duration>,
    overhead_one: Vec<Duration>,
    /// One call, all pairs.
    native: Vec<Duration>,
}

fn measure(sandbox: &Sandbox, probed: &ProbedPlugin, call: &Call) -> Result<Samples, Failure> {
    let mut samples = Samples::default();
    for _ in 0..N_STARTS {
        let start = Instant::now();
        let guest = sandbox.start(probed, Stage::Probe)?;
        samples.ready.push(start.elapsed());
        samples.compile.push(guest.compile_time());
    }
    let mut guest = sandbox.start(probed, Stage::Probe)?;
    let one = pairs(1);
    for round in 0..N_WARM_UP + call.n_calls {
        if round == N_WARM_UP {
            samples =
                Samples { ready: samples.ready, compile: samples.compile, ..Samples::default() };
        }
        let start = Instant::now();
        let evaluation = guest.evaluate(&call.pairs, &call.hyperparameters)?;
        let (whole, spent) = (start.elapsed(), evaluation.spent);
        samples.call.push(whole);
        samples.instantiate.push(spent.instantiate);
        samples.evaluate.push(spent.evaluate);
        samples.overhead.push(whole.saturating_sub(spent.evaluate));

        let start = Instant::now();
        let evaluation = guest.evaluate(&one, &call.hyperparameters)?;
        let whole = start.elapsed();
        samples.call_one.push(whole);
        let overhead = whole.saturating_sub(evaluation.spent.evaluate);
        samples.overhead_one.push(overhead);

        if let Some(native) = call.native {
            samples.native.push(natively(native, call));
        }
    }
    Ok(samples)
}

/// The mean of a few calls, after one that does not count.
fn natively(published: &Published, call: &Call) -> Duration {
    let evaluate = || {
        let pairs = black_box(&call.pairs);
        black_box((published.evaluate)(pairs, black_box(&call.hyperparameters)))
    };
    let n_calls = NATIVE_PAIRS.div_ceil(call.pairs.len()) as u32;
    drop(evaluate());
    let start = Instant::now();
    for _ in 0..n_calls {
        drop(evaluate());
    }
    start.elapsed() / n_calls
}

/// A measured quantity. The unit stands last in the name.
struct Figure {
    name: &'static str,
    what: &'static str,
    summary: Option<Summary>,
}

/// Median and quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    median: f64,
    low: f64,
    high: f64,
    n: usize,
}

fn summary(samples: &[Duration], per_unit: f64) -> Option<Summary> {
    let mut sorted: Vec<f64> =
        samples.iter().map(|sample| sample.as_secs_f64() / per_unit).collect();
    sorted.sort_by(f64::total_cmp);
    let quartile = |quarters: usize| sorted.get((sorted.len().max(1) - 1) * quarters / 4);
    Some(Summary {
        median: *quartile(2)?,
        low: *quartile(1)?,
        high: *quartile(3)?,
        n: sorted.len(),
    })
}

#[rustfmt::skip]
fn figures(samples: &Samples, n_pairs: usize) -> Vec<Figure> {
    let (ms, us) = (1e-3, 1e-6);
    let ns_per_pair = 1e-9 * n_pairs as f64;
    let figure = |name, what, samples: &[Duration], unit| Figure { name, what, summary: summary(samples, unit) };
    vec![
        figure("wasm_ns_per_pair", "the loss in WebAssembly, in a fresh instance", &samples.evaluate, ns_per_pair),
        figure("native_ns_per_pair", "the same source natively", &samples.native, ns_per_pair),
        figure("call_us", "a call through the child, all pairs", &samples.call, us),
        figure("call_overhead_us", "of it, all but the loss", &samples.overhead, us),
        figure("call_one_pair_us", "a call through the child, one pair", &samples.call_one, us),
        figure("call_one_pair_overhead_us", "of it, all but the loss", &samples.overhead_one, us),
        figure("instantiate_us", "of either, the fresh instance", &samples.instantiate, us),
        figure("compile_ms", "component to machine code, in the child", &samples.compile, ms),
        figure("ready_ms", "start of the child to ready, compiling included", &samples.ready, ms),
    ]
}

/// How many times longer the loss takes in WebAssembly than natively.
fn wasm_over_native(figures: &[Figure]) -> Option<f64> {
    let median = |name| {
        let figure = figures.iter().find(|figure| figure.name == name)?;
        Some(figure.summary?.median)
    };
    Some(median("wasm_ns_per_pair")? / median("native_ns_per_pair")?)
}

fn show(args: &BenchPlugin, probed: &ProbedPlugin, figures: &[Figure]) -> Result<()> {
    if args.json {
        return screen::json(&report(args, probed, figures));
    }
    let number = |value: f64| format!("{value:.2}");
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|figure| {
            let mut row = vec![format!("{:<26} {}", figure.name, figure.what)];
            match figure.summary {
                Some(it) => row.extend([
                    number(it.median),
                    format!("{} to {}", number(it.low), number(it.high)),
                    it.n.to_string(),
                ]),
                None => row.extend(["-".to_owned(), "-".to_owned(), "0".to_owned()]),
            }
            row
        })
        .collect();
    let header = ["figure", "median", "quartiles", "n"];
    screen::data(&screen::table(&header, &rows))?;
    if let Some(ratio) = wasm_over_native(figures) {
        screen::data(&format!("wasm takes {ratio:.2} times as long as native\n"))?;
    }
    screen::data(&format!(
        "{} pairs, {} bytes of component, {:.0} fuel per pair\n",
        args.pairs,
        probed.bytes().len(),
        probed.report().fuel_per_pair
    ))
}

/// Medians under their own names; quartiles and counts under `spread`.
fn report(args: &BenchPlugin, probed: &ProbedPlugin, figures: &[Figure]) -> Value {
    let mut report = Map::new();
    report.insert("name".to_owned(), json!(probed.metadata().name));
    report.insert("hash".to_owned(), json!(probed.hash()));
    report.insert("pairs".to_owned(), json!(args.pairs));
    for figure in figures {
        let median = figure.summary.map(|it| it.median);
        report.insert(figure.name.to_owned(), json!(median));
    }
    report.insert("wasm_over_native".to_owned(), json!(wasm_over_native(figures)));
    let fuel = probed.report().fuel_per_pair;
    report.insert("fuel_per_pair".to_owned(), json!(fuel));
    report.insert("component_bytes".to_owned(), json!(probed.bytes().len()));
    let spread: Map<String, Value> = figures
        .iter()
        .filter_map(|figure| {
            let it = figure.summary?;
            let spread = json!({ "low": it.low, "high": it.high, "n": it.n });
            Some((figure.name.to_owned(), spread))
        })
        .collect();
    report.insert("spread".to_owned(), Value::Object(spread));
    Value::Object(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_median_and_the_quartiles_in_the_unit() {
        let samples: Vec<Duration> = [5, 1, 4, 2, 3].map(Duration::from_micros).to_vec();
        let found = summary(&samples, 1e-6).expect("there are samples");
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        assert!(close(found.median, 3.0) && close(found.low, 2.0) && close(found.high, 4.0));
        assert_eq!(found.n, 5);
        assert_eq!(summary(&[], 1e-6), None);
    }

    #[test]
    fn pairs_are_well_formed_and_spread_over_both_signs() {
        let pairs = pairs(100);
        assert_eq!(pairs.check_lengths(), Ok(()));
        let margins = (0..100).map(|row| {
            let chosen = pairs.policy_chosen_logps[row] - pairs.reference_chosen_logps[row];
            chosen - (pairs.policy_rejected_logps[row] - pairs.reference_rejected_logps[row])
        });
        let n_right = margins.filter(|margin| *margin > 0.0).count();
        assert!((30..=70).contains(&n_right), "{n_right}");
    }
}
