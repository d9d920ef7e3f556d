//! A run from its directory to its report.
//!
//! The order matters: the places that are written to at the end are tried before anything else, the directory is taken
//! before anything is read, settings are compared before anything is done, and the winner is written when everything is
//! settled. The search itself is in `search`.

use std::path::Path;

use sandbox::Sandbox;
use sha2::{Digest, Sha256};

use crate::archive::Archive;
use crate::baselines::{self, Baseline};
use crate::candidate::{Candidate, hex};
use crate::config::{Config, ProposerChoice, SearchSettings, at_least_one};
use crate::executor::Executor;
use crate::observer::{Event, Observer};
use crate::proposer::evolve::Evolve;
use crate::proposer::llm::Llm;
use crate::proposer::random::Random;
use crate::proposer::replay::Replay;
use crate::proposer::{Proposer, llm};
use crate::provenance::{GENERATED, Origin, write_winner};
use crate::report::{Counts, Report, leaderboard, rejected};
use crate::schedule::{Rules, Schedule};
use crate::search::{Search, search};
use crate::{Fault, files, lock};

/// Searches for losses, or goes on with a search, until enough candidates are scored.
///
/// # Errors
/// When the run directory is not as `config` says, or what the run needs breaks down. The run can be resumed.
pub fn run(config: &Config, observer: &mut dyn Observer) -> Result<Report, Fault> {
    config.search.check()?;
    at_least_one("workers", config.workers)?;
    if let Some(choice) = &config.search.proposer {
        // Mistakes are told before a directory is made.
        open_proposer(choice, config)?;
    }
    files::check_writable(&config.plugins_dir.join(GENERATED))?;
    let claim = claim(&config.run_dir, config.resume)?;
    let _lock = lock::take(&config.run_dir)?;
    let Ready { mut archive, choice, proposer, executor } = match prepare(config, observer) {
        Ok(ready) => ready,
        Err(fault) => {
            give_up(&config.run_dir, claim);
            return Err(fault);
        }
    };

    let baselines = chosen_baselines(&config.search);
    let rules = rules(&config.search);
    let schedule = Schedule::new(rules, archive.past()?);
    observer.on_event(Event::Begun {
        run_dir: &config.run_dir,
        n_baselines: rules.n_baselines,
        n_candidates: rules.candidates,
        n_seeds: rules.n_seeds,
        trainings: schedule.trainings(),
    });
    let seeds = training_seeds(config.search.seed, config.search.training_seeds);
    let schedule = search(
        &executor,
        proposer,
        Search {
            schedule,
            archive: &mut archive,
            observer,
            baselines: baselines.iter().copied().map(baselines::candidate).collect(),
            wanted: config.search.candidates,
            seeds: &seeds,
            workers: config.workers,
        },
    )?;
    let origin =
        Origin { run_dir: &config.run_dir, seed: config.search.seed, proposer: choice.name() };
    conclude(config, &origin, &schedule, &archive, observer)
}

/// What a run has before its first record.
struct Ready {
    archive: Archive,
    choice: ProposerChoice,
    proposer: Box<dyn Proposer>,
    executor: Executor,
}

/// Everything that can fail before there is anything to resume; the settings are the first that is written.
fn prepare(config: &Config, observer: &mut dyn Observer) -> Result<Ready, Fault> {
    let mut archive = Archive::open(&config.run_dir, config.workers)?;
    let (choice, reason) = choose(config, &archive)?;
    observer.on_event(Event::Proposer { choice: &choice, reason: &reason });
    let (proposer, identity) = open_proposer(&choice, config)?;
    let executor = Executor::open(config, observer)?;
    archive.settle_settings(&settings(config, &choice, &identity, &executor))?;
    Ok(Ready { archive, choice, proposer, executor })
}

/// How a run came by its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Made,
    FoundEmpty,
    Resumed,
}

/// Makes the run's directory, or finds it, as the user wants.
fn claim(run_dir: &Path, resume: bool) -> Result<Claim, Fault> {
    let exists = run_dir.exists();
    match (resume, exists) {
        (true, false) => Err(Fault::NoRun(run_dir.to_path_buf())),
        (true, true) => Ok(Claim::Resumed),
        (false, true) if is_empty(run_dir) => Ok(Claim::FoundEmpty),
        (false, true) => Err(Fault::RunExists(run_dir.to_path_buf())),
        (false, false) => {
            std::fs::create_dir_all(run_dir).map_err(Fault::file("create", run_dir))?;
            Ok(Claim::Made)
        }
    }
}

/// Leaves the directory as it was found, so that the same command can begin the run once its obstacle is gone. The
/// lock is ours, so nobody else's files are here.
fn give_up(run_dir: &Path, claim: Claim) {
    if claim == Claim::Resumed {
        return;
    }
    // What cannot be removed does no harm: the run can be begun with --resume.
    for file in Archive::files(run_dir) {
        let _ = std::fs::remove_file(file);
    }
    let _ = std::fs::remove_file(lock::file(run_dir));
    if claim == Claim::Made {
        let _ = std::fs::remove_dir(run_dir);
    }
}

/// Whether this is a directory with nothing in it, as `mktemp -d` makes one.
fn is_empty(run_dir: &Path) -> bool {
    std::fs::read_dir(run_dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// Who proposes, and why.
fn choose(config: &Config, archive: &Archive) -> Result<(ProposerChoice, String), Fault> {
    if let Some(choice) = &config.search.proposer {
        return Ok((choice.clone(), "as asked for".to_owned()));
    }
    let begun_with = archive.settings()?.into_iter().find(|(name, _)| name == "proposer");
    if let Some((_, proposer)) = begun_with {
        return Ok((proposer.parse()?, "as the run was begun".to_owned()));
    }
    Ok(match config.llm.has_key() {
        true => (ProposerChoice::Llm, "a key is set in OPENAI_API_KEY".to_owned()),
        false => (ProposerChoice::Evolve, "no key is set in OPENAI_API_KEY".to_owned()),
    })
}

/// The proposer, and the identity of whatever it goes by beside the seed.
fn open_proposer(
    choice: &ProposerChoice,
    config: &Config,
) -> Result<(Box<dyn Proposer>, String), Fault> {
    let seed = config.search.seed;
    Ok(match choice {
        ProposerChoice::Evolve => (Box::new(Evolve::new(seed)), "none".to_owned()),
        ProposerChoice::Random => (Box::new(Random::new(seed)), "none".to_owned()),
        ProposerChoice::Replay(path) => {
            let replay = Replay::open(path)?;
            let digest = replay.digest();
            (Box::new(replay), digest)
        }
        ProposerChoice::Llm => {
            let identity =
                format!("{} with prompt {}", config.llm.model, llm::prompt_digest(&config.task));
            (Box::new(Llm::open(&config.llm, &config.task)?), identity)
        }
    })
}

/// Everything that changes results, by name.
fn settings(
    config: &Config,
    choice: &ProposerChoice,
    identity: &str,
    executor: &Executor,
) -> Vec<(String, String)> {
    let SearchSettings {
        seed,
        candidates,
        proposals_max,
        lag,
        training_seeds,
        baselines: names,
        ..
    } = &config.search;
    let sources = chosen_baselines(&config.search);
    let sources = sources.iter().map(|baseline| baseline.source);
    let task = serde_json::to_string(&config.task).expect("settings are JSON");
    [
        ("baselines", names.join(" ")),
        ("baseline sources", baselines::digest(sources)),
        ("candidates", candidates.to_string()),
        ("lag", lag.to_string()),
        ("lossbox", env!("CARGO_PKG_VERSION").to_owned()),
        ("proposals at most", proposals_max.to_string()),
        ("proposer", choice.to_string()),
        ("proposer's input", identity.to_owned()),
        ("SDK", Sandbox::sdk_hash()),
        ("seed", seed.to_string()),
        ("task", task),
        ("task data", executor.task_digest()),
        ("training seeds", training_seeds.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn rules(search: &SearchSettings) -> Rules {
    Rules {
        n_baselines: search.baselines.len(),
        candidates: search.candidates,
        proposals_max: search.proposals_max,
        lag: search.lag,
        n_seeds: search.training_seeds,
    }
}

fn chosen_baselines(search: &SearchSettings) -> Vec<&'static Baseline> {
    search.baselines.iter().filter_map(|name| baselines::named(name)).collect()
}

/// The seeds of every candidate's trainings: the same for all candidates of a run, others for another run.
fn training_seeds(seed: u64, n: usize) -> Vec<u64> {
    let derived = |index: usize| {
        let mut digest = Sha256::new();
        digest.update(b"lossbox training seed");
        digest.update(seed.to_le_bytes());
        digest.update((index as u64).to_le_bytes());
        // 32 bits are enough to tell seeds apart, and short enough to be typed.
        u64::from_str_radix(&hex(&digest.finalize()[..4]), 16).expect("eight hexadecimal digits")
    };
    (0..n).map(derived).collect()
}

/// The report, and what it was not possible to write: the work is done, so nothing of it is withheld.
fn conclude(
    config: &Config,
    origin: &Origin<'_>,
    schedule: &Schedule,
    archive: &Archive,
    observer: &mut dyn Observer,
) -> Result<Report, Fault> {
    let settled: Vec<(&Candidate, _)> = schedule.settled();
    let mut report = Report {
        run: config.run_dir.display().to_string(),
        leaderboard: leaderboard(&settled),
        rejected: rejected(&settled),
        candidates: Counts { asked: config.search.candidates, scored: schedule.n_scored() },
        n_seeds: config.search.training_seeds,
        seconds: archive.seconds()?,
        winner: None,
        unwritten: Vec::new(),
    };
    let json = serde_json::to_string_pretty(&report).expect("a report is JSON");
    let mut unwritten = Vec::new();
    if let Err(fault) = files::write(&config.run_dir.join("report.json"), &(json + "\n")) {
        unwritten.push(fault.without_hint());
    }
    match write_winner(&settled, origin, &config.plugins_dir) {
        Ok(winner) => report.winner = winner,
        Err(fault) => unwritten.push(fault.without_hint()),
    }
    if let Some(winner) = &report.winner {
        observer.on_event(Event::Winner {
            name: &winner.name,
            path: &winner.path,
            beaten_by: winner.beaten_by.as_deref(),
        });
    }
    report.unwritten = unwritten;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_directory_is_begun_once_and_resumed_only_if_it_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let run_dir = folder.path().join("runs/1");
        assert!(matches!(claim(&run_dir, true), Err(Fault::NoRun(_))));
        assert_eq!(claim(&run_dir, false).expect("begun"), Claim::Made);
        assert_eq!(claim(&run_dir, false).expect("still empty"), Claim::FoundEmpty);
        std::fs::write(run_dir.join("lock"), "").expect("written");
        let fault = claim(&run_dir, false).expect_err("a run is there").to_string();
        assert!(fault.contains("--resume"), "{fault}");
        assert_eq!(claim(&run_dir, true).expect("resumed"), Claim::Resumed);
    }

    #[test]
    fn a_run_that_never_began_leaves_its_directory_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let run_dir = folder.path().join("run");
        let begin = |claimed: Claim| {
            let _lock = lock::take(&run_dir).expect("free");
            drop(Archive::open(&run_dir, 1).expect("an archive"));
            give_up(&run_dir, claimed);
        };
        begin(claim(&run_dir, false).expect("made"));
        assert!(!run_dir.exists());
        std::fs::create_dir(&run_dir).expect("made");
        begin(claim(&run_dir, false).expect("empty"));
        assert!(is_empty(&run_dir));
        begin(Claim::Resumed);
        assert!(run_dir.join("archive.sqlite").exists());
    }

    #[test]
    fn training_seeds_are_paired_within_a_run_and_differ_between_runs() {
        let three = training_seeds(1, 3);
        assert_eq!(training_seeds(1, 2), three[..2]);
        let mut all = [training_seeds(0, 3), three, training_seeds(2, 3)].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 9);
    }
}
