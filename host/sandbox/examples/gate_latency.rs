//! How long the gates take: every plugin of the repository, from source text to probed plugin, several times.
//!
//! `cargo run --release -p lossbox-sandbox --example gate_latency`

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use sandbox::{Failure, Options, Pairs, Sandbox, Source, Stage, source};

const ROUNDS: usize = 5;
const CONFINEMENT_ROUNDS: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    sandbox::child::run_if_child();
    let cache = tempfile::tempdir()?;
    let start = Instant::now();
    let sandbox = Sandbox::open(Options::new(cache.path(), std::env::current_exe()?))?;
    println!("open with a cold cache  {:6.0} ms", ms(start.elapsed()));

    let mut rounds = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        for _ in 0..ROUNDS {
            let round = gates(&sandbox, &text)
                .map_err(|failure| format!("{}: {failure:?}", path.display()))?;
            rounds.push(round);
        }
    }
    println!("{} rounds: median, largest in ms", rounds.len());
    for (gate, name) in ["source", "compile", "component", "probe", "start", "all four gates"]
        .into_iter()
        .enumerate()
    {
        let mut times: Vec<Duration> = rounds.iter().map(|round| round[gate]).collect();
        times.sort();
        println!(
            "{name:<16} {:8.1} {:8.1}",
            ms(times[times.len() / 2]),
            ms(times[times.len() - 1])
        );
    }
    confinement(&sandbox, cache.path())?;
    calls(&sandbox)
}

/// Stands in for the child that confines itself: it gives nothing up and becomes the compiler at once.
const UNCONFINED: &str =
    "#!/bin/sh\nwhile test \"$1\" != --become; do shift; done\nshift\necho confined\nexec \"$@\"\n";

/// What it costs a compilation that its process confines itself first: the same one, with and without, in turns.
fn confinement(confined: &Sandbox, cache: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let program = cache.join("unconfined");
    std::fs::write(&program, UNCONFINED)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let unconfined = Sandbox::open(Options::new(cache, program))?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dpo.rs");
    let text = std::fs::read_to_string(path)?;
    let compile = |sandbox: &Sandbox| {
        let audited = source::audit(Source::one_file(&text)).map_err(|r| r.to_string())?;
        let start = Instant::now();
        let compiled = sandbox.compile(&audited);
        compiled.map_err(|failure| format!("{failure:?}"))?;
        Ok::<f64, String>(ms(start.elapsed()))
    };
    let (mut with, mut without, mut cost) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..CONFINEMENT_ROUNDS {
        let (one, other) = (compile(confined)?, compile(&unconfined)?);
        with.push(one);
        without.push(other);
        cost.push(one - other);
    }
    println!("{CONFINEMENT_ROUNDS} compilations: quartiles in ms");
    for (name, times) in
        [("confined", &mut with), ("not confined", &mut without), ("confinement", &mut cost)]
    {
        times.sort_by(f64::total_cmp);
        let quartile = |n: usize| times[(times.len() - 1) * n / 4];
        let [low, median, high] = [quartile(1), quartile(2), quartile(3)];
        println!("{name:<16} {low:8.1} {median:8.1} {high:8.1}");
    }
    Ok(())
}

/// What a call of DPO costs in a child, and on a thread of this process.
fn calls(sandbox: &Sandbox) -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dpo.rs");
    let plugin = sandbox.load(&path).map_err(|failure| format!("{failure:?}"))?;
    println!("fuel per pair    {:8.1}", plugin.report().fuel_per_pair);
    let mut guest =
        sandbox.start(&plugin, Stage::Train).map_err(|failure| format!("{failure:?}"))?;
    let mut thread = sandbox
        .start_in_process(&plugin, Stage::Train)
        .map_err(|failure| format!("{failure:?}"))?;
    println!("call: median, fastest in microseconds");
    for n_pairs in [1, 64, 1_024, 16_384] {
        let pairs = pairs(n_pairs);
        time(&format!("{n_pairs:>5} in a child"), || guest.evaluate(&pairs, &[0.1]))?;
        time(&format!("{n_pairs:>5} in process"), || thread.evaluate(&pairs, &[0.1]))?;
    }
    Ok(())
}

fn pairs(n_pairs: u32) -> Pairs {
    let logps =
        |from: f64| (0..n_pairs).map(|row| from - 0.01 * f64::from(row)).collect::<Vec<f64>>();
    Pairs {
        policy_chosen_logps: logps(-10.0),
        policy_rejected_logps: logps(-12.0),
        reference_chosen_logps: logps(-11.0),
        reference_rejected_logps: logps(-9.0),
        chosen_tokens: vec![20; n_pairs as usize],
        rejected_tokens: vec![30; n_pairs as usize],
    }
}

fn time<T>(what: &str, mut call: impl FnMut() -> Result<T, Failure>) -> Result<(), String> {
    let mut times = Vec::new();
    for _ in 0..2_000 {
        let start = Instant::now();
        call().map_err(|failure| format!("{failure:?}"))?;
        times.push(start.elapsed());
    }
    times.sort();
    println!("{what:<20} {:8.1} {:8.1}", ms(times[times.len() / 2]) * 1e3, ms(times[0]) * 1e3);
    Ok(())
}

/// Source, compile, component, probe, the start of one more guest, and the four gates together.
fn gates(sandbox: &Sandbox, text: &str) -> Result<[Duration; 6], Failure> {
    let start = Instant::now();
    let audited = source::audit(Source::one_file(text))?;
    let after_source = start.elapsed();
    let component = sandbox.compile(&audited)?;
    let after_compile = start.elapsed();
    let audited = sandbox.audit(component)?;
    let after_component = start.elapsed();
    let plugin = sandbox.probe(audited)?;
    let after_probe = start.elapsed();
    drop(sandbox.start(&plugin, Stage::Train)?);
    Ok([
        after_source,
        after_compile - after_source,
        after_component - after_compile,
        after_probe - after_component,
        start.elapsed() - after_probe,
        after_probe,
    ])
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
