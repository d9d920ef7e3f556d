//! Runs a property on many seeds and says what that cost: `lossbox-soak NAME [--runs N] [--seconds T] [--seed S]`.
//!
//! What a fuzzer would do without its coverage: no nightly compiler, no instrumentation, the same generators. The
//! target in `tests/fuzz` looks for what this one does not reach.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use properties::{Property, Verdict};

/// What the user asked for.
struct Options {
    check: Property,
    n_runs: u64,
    wall: Duration,
    first_seed: u64,
}

/// What the runs came to.
#[derive(Default)]
struct Tally {
    n_runs: u64,
    verdicts: BTreeMap<Verdict, u64>,
    slowest: (Duration, u64),
    panicked: Vec<u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(options) = options(&arguments) else {
        let names: Vec<&str> = properties::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: lossbox-soak {} [--runs N] [--seconds T] [--seed S]", names.join("|"));
        return ExitCode::from(2);
    };
    let start = Instant::now();
    let memory_before = resident_kib();
    let tally = soak(&options, start);
    report(&tally, start.elapsed(), memory_before);
    ExitCode::from(u8::from(!tally.panicked.is_empty()))
}

fn options(arguments: &[String]) -> Option<Options> {
    let (name, settings) = arguments.split_first()?;
    let (_, check) = properties::ALL.into_iter().find(|(known, _)| known == name)?;
    let mut options =
        Options { check, n_runs: 1_000_000, wall: Duration::from_secs(20 * 60), first_seed: 0 };
    for setting in settings.chunks(2) {
        let [flag, value] = setting else { return None };
        let value: u64 = value.parse().ok()?;
        match flag.as_str() {
            "--runs" => options.n_runs = value,
            "--seconds" => options.wall = Duration::from_secs(value),
            "--seed" => options.first_seed = value,
            _ => return None,
        }
    }
    Some(options)
}

fn soak(options: &Options, start: Instant) -> Tally {
    let mut tally = Tally::default();
    for seed in options.first_seed..options.first_seed.saturating_add(options.n_runs) {
        if start.elapsed() > options.wall {
            break;
        }
        let bytes = properties::bytes(seed);
        let run = Instant::now();
        // The panic's own message goes to stderr, with the seed that repeats it below.
        match std::panic::catch_unwind(|| (options.check)(&bytes)) {
            Ok(verdict) => *tally.verdicts.entry(verdict).or_default() += 1,
            Err(_) => {
                eprintln!("seed {seed} panicked");
                tally.panicked.push(seed);
            }
        }
        tally.n_runs += 1;
        tally.slowest = tally.slowest.max((run.elapsed(), seed));
        if tally.n_runs.is_power_of_two() {
            let rate = tally.n_runs as f64 / start.elapsed().as_secs_f64();
            let memory = resident_kib().unwrap_or_default() / 1024;
            eprintln!("{} runs, {rate:.0} a second, {memory} MiB", tally.n_runs);
        }
    }
    tally
}

fn report(tally: &Tally, elapsed: Duration, memory_before: Option<u64>) {
    println!("{} runs in {:.0} s", tally.n_runs, elapsed.as_secs_f64());
    println!("{} panics {:?}", tally.panicked.len(), tally.panicked);
    let (slowest, seed) = tally.slowest;
    println!("slowest {:.1} ms, seed {seed}", slowest.as_secs_f64() * 1e3);
    if let (Some(before), Some(after), Some(peak)) =
        (memory_before, resident_kib(), status_kib("VmHWM:"))
    {
        let mib = |kib: u64| kib / 1024;
        println!(
            "resident {} MiB at first, {} MiB at last, {} MiB at most",
            mib(before),
            mib(after),
            mib(peak)
        );
    }
    for (verdict, n_runs) in &tally.verdicts {
        match verdict {
            Verdict::Accepted => println!("{n_runs:>9} accepted"),
            Verdict::Rejected(rule) => println!("{n_runs:>9} {rule}"),
        }
    }
}

/// Memory of this process in KiB, where the system tells.
fn resident_kib() -> Option<u64> {
    status_kib("VmRSS:")
}

fn status_kib(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}
