//! A run's report depends on its settings alone: not on timing, not on workers, not on being killed.
//!
//! The machinery is a fake that takes a random time and whose verdicts are a hash of the source, so that hundreds of
//! runs take seconds. Schedule, benches, workers, archive and the evolving proposer are the real ones.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use trainer::{Progress, SeedResult, TrajectoryPoint};

use super::*;
use crate::baselines;
use crate::candidate::CandidateId;
use crate::observer::Event;
use crate::proposer::evolve::Evolve;
use crate::proposer::random::Random;
use crate::report::{leaderboard, rejected};
use crate::schedule::Rules;
use crate::stages::Failure;

/// Stages whose results are a hash of the source and whose duration is anybody's guess.
struct Fake;

/// Each stage hands on the hash that decides the next one.
struct Hash(u64);

impl Hash {
    fn of(source: &str, salt: u64) -> Self {
        let digits = CandidateId::of(&format!("{source}{salt}"));
        Hash(u64::from_str_radix(digits.as_str(), 16).expect("hexadecimal digits"))
    }

    fn unless_one_in(self, n: u64, stage: Stage) -> Result<Self, Failure> {
        dawdle();
        match self.0 % n {
            0 => {
                Err(Rejection::new(stage, &format!("{stage}/fake"), format!("hash {}", self.0), "")
                    .into())
            }
            _ => Ok(self),
        }
    }
}

/// Up to a third of a millisecond, by the clock's last digits.
fn dawdle() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = now.map_or(0, |now| u64::from(now.subsec_nanos()));
    thread::sleep(Duration::from_nanos(nanoseconds * 997 % 300_000));
}

impl Stages for Fake {
    type AuditedSource = Hash;
    type Component = Hash;
    type AuditedComponent = Hash;
    type Loss = Hash;

    fn audit_source(&self, candidate: &Candidate) -> Result<Hash, Failure> {
        Hash::of(&candidate.source, 1).unless_one_in(9, Stage::Source)
    }

    fn compile(&self, source: &Hash) -> Result<Hash, Failure> {
        Hash::of(&source.0.to_string(), 2).unless_one_in(9, Stage::Compile)
    }

    fn audit_component(&self, component: Hash) -> Result<Hash, Failure> {
        Ok(component)
    }

    fn probe(&self, component: Hash) -> Result<Hash, Failure> {
        Hash::of(&component.0.to_string(), 3).unless_one_in(9, Stage::Probe)
    }

    fn train(
        &self,
        loss: &Hash,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SeedResult, Failure> {
        let Hash(hash) = Hash::of(&loss.0.to_string(), seed).unless_one_in(9, Stage::Train)?;
        let fitness = hash as f64 / u64::MAX as f64 / 3.0;
        let point = TrajectoryPoint {
            step: 4,
            kl: fitness * 7.0,
            kl_error: 0.1,
            reward: fitness / 7.0,
            reward_error: 0.1,
        };
        progress(Progress::Evaluated(point.clone()));
        Ok(SeedResult {
            seed,
            fitness,
            low: fitness - 0.1,
            high: fitness + 0.1,
            base_reward: 0.0,
            points: vec![point],
            n_prompts: 8,
        })
    }
}

/// A run of the fake machinery.
#[derive(Clone, Copy)]
struct Trial {
    baselines: usize,
    candidates: usize,
    lag: usize,
    evolve: bool,
}

const LARGE: Trial = Trial { baselines: 13, candidates: 12, lag: 2, evolve: true };
const SMALL: Trial = Trial { baselines: 3, candidates: 4, lag: 1, evolve: true };
const SEEDS: [u64; 2] = [5, 6];
const RUN_SEED: u64 = 7;

impl Trial {
    /// Runs in this directory until it is done or `records` more are written, and gives the report as JSON.
    fn run(self, run_dir: &Path, workers: usize, records: Option<usize>) -> Result<String, Fault> {
        self.run_with(&Fake, run_dir, workers, records)
    }

    fn run_with<S: Stages>(
        self,
        stages: &S,
        run_dir: &Path,
        workers: usize,
        records: Option<usize>,
    ) -> Result<String, Fault> {
        let mut archive = Archive::open(run_dir, workers)?;
        archive.records_left = records;
        let past = archive.past()?;
        let schedule = Schedule::new(self.rules(), past);
        let proposer: Box<dyn Proposer> = match self.evolve {
            true => Box::new(Evolve::new(RUN_SEED)),
            false => Box::new(Random::new(RUN_SEED)),
        };
        let mut observer = |_: Event<'_>| {};
        let search = Search {
            schedule,
            archive: &mut archive,
            observer: &mut observer,
            baselines: baselines::ALL[..self.baselines].iter().map(baselines::candidate).collect(),
            wanted: self.candidates,
            seeds: &SEEDS,
            workers,
        };
        let schedule = super::search(stages, proposer, search)?;
        assert!(schedule.n_scored() <= self.candidates);
        let settled = schedule.settled();
        let report = (leaderboard(&settled), rejected(&settled));
        Ok(serde_json::to_string(&report).expect("JSON"))
    }

    fn rules(self) -> Rules {
        Rules {
            n_baselines: self.baselines,
            candidates: self.candidates,
            proposals_max: 5 * self.candidates,
            lag: self.lag,
            n_seeds: SEEDS.len(),
        }
    }

    fn undisturbed(self, workers: usize) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        self.run(folder.path(), workers, None).expect("a report")
    }
}

#[test]
fn reports_do_not_depend_on_the_number_of_workers() {
    for trial in [LARGE, Trial { evolve: false, lag: 0, ..LARGE }] {
        let report = trial.undisturbed(1);
        assert!(
            report.contains("source/fake") && report.contains("train/fake"),
            "the fake should reject some: {report}"
        );
        assert_eq!(
            report.matches("\"fitness\"").count()
                - report.matches("\"origin\":\"baseline\"").count(),
            12
        );
        for workers in [1, 2, 3] {
            assert_eq!(trial.undisturbed(workers), report, "{workers} workers");
        }
    }
}

#[test]
fn a_run_that_is_killed_before_any_record_ends_as_if_it_had_not_been() {
    let report = SMALL.undisturbed(2);
    let mut killed = 0;
    for records in 0.. {
        let folder = tempfile::tempdir().expect("a folder");
        match SMALL.run(folder.path(), 1 + records % 2, Some(records)) {
            Ok(undisturbed) => {
                assert_eq!(undisturbed, report);
                break;
            }
            Err(_) => killed += 1,
        }
        let resumed = SMALL.run(folder.path(), 1 + records % 3, None).expect("a report");
        assert_eq!(resumed, report, "killed before record {records}");
    }
    assert!(killed > 40, "{killed}");
}

#[test]
fn a_run_that_is_killed_again_and_again_comes_to_its_end() {
    let report = LARGE.undisturbed(2);
    let folder = tempfile::tempdir().expect("a folder");
    let mut sessions = 1;
    let end = loop {
        match LARGE.run(folder.path(), 1 + sessions % 3, Some(7)) {
            Ok(end) => break end,
            Err(_) => sessions += 1,
        }
        // At most 28 candidates of 8 records each, and no record is written twice.
        assert!(sessions <= 28 * 8 / 7 + 1, "{sessions} sessions");
    };
    assert_eq!(end, report);
    assert!(sessions > 15, "{sessions}");
}

/// The fake machinery on a machine that has no processor for one of its compilers.
struct BusyAt {
    n_compiled: AtomicUsize,
    busy_at: usize,
}

impl Stages for BusyAt {
    type AuditedSource = Hash;
    type Component = Hash;
    type AuditedComponent = Hash;
    type Loss = Hash;

    fn audit_source(&self, candidate: &Candidate) -> Result<Hash, Failure> {
        Fake.audit_source(candidate)
    }

    fn compile(&self, source: &Hash) -> Result<Hash, Failure> {
        if self.n_compiled.fetch_add(1, Ordering::Relaxed) == self.busy_at {
            let busy = sandbox::Fault::Busy {
                had: Duration::from_secs(1),
                wall: Duration::from_secs(10),
                tries: 3,
            };
            return Err(Fault::from(busy).into());
        }
        Fake.compile(source)
    }

    fn audit_component(&self, component: Hash) -> Result<Hash, Failure> {
        Fake.audit_component(component)
    }

    fn probe(&self, component: Hash) -> Result<Hash, Failure> {
        Fake.probe(component)
    }

    fn train(
        &self,
        loss: &Hash,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<SeedResult, Failure> {
        Fake.train(loss, seed, progress)
    }
}

/// No candidate is rejected for it: the run ends, and goes on as if nothing had been.
#[test]
fn a_run_on_a_machine_that_is_too_busy_is_resumed_without_a_loss() {
    let report = SMALL.undisturbed(2);
    for busy_at in 0..6 {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = BusyAt { n_compiled: AtomicUsize::new(0), busy_at };
        let fault = SMALL.run_with(&machine, folder.path(), 2, None).expect_err("a busy machine");
        assert!(fault.to_string().contains("try again"), "{fault}");
        let resumed = SMALL.run(folder.path(), 2, None).expect("a report");
        assert_eq!(resumed, report, "busy at compiler {busy_at}");
    }
}

/// Proposes the same source for ever.
struct Parrot;

impl Proposer for Parrot {
    fn propose(&mut self, _: usize, _: &History) -> Result<Option<Reply>, Fault> {
        Ok(Some(Reply::Proposal(Candidate {
            origin: "parrot".to_owned(),
            ..baselines::candidate(&baselines::ALL[0])
        })))
    }
}

/// Breaks down at its second proposal.
struct Broken;

impl Proposer for Broken {
    fn propose(&mut self, n: usize, history: &History) -> Result<Option<Reply>, Fault> {
        match n {
            0 => Evolve::new(RUN_SEED).propose(0, history),
            _ => Err(Fault::settings("out of order", "repair it")),
        }
    }
}

fn with_proposer(
    run_dir: &Path,
    proposer: Box<dyn Proposer>,
) -> (Result<Schedule, Fault>, Vec<String>) {
    let trial = Trial { lag: 2, ..SMALL };
    let mut archive = Archive::open(run_dir, 2).expect("an archive");
    let schedule = Schedule::new(trial.rules(), archive.past().expect("a past"));
    let mut seen = Vec::new();
    let mut observer = |event: Event<'_>| seen.push(format!("{event:?}"));
    let search = Search {
        schedule,
        archive: &mut archive,
        observer: &mut observer,
        baselines: baselines::ALL[..trial.baselines].iter().map(baselines::candidate).collect(),
        wanted: trial.candidates,
        seeds: &SEEDS,
        workers: 2,
    };
    (super::search(&Fake, proposer, search), seen)
}

#[test]
fn what_was_proposed_before_is_rejected_and_a_run_without_ideas_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let (schedule, seen) = with_proposer(folder.path(), Box::new(Parrot));
    let schedule = schedule.expect("an end");
    assert_eq!((schedule.n_proposals(), schedule.n_scored()), (20, 0));
    let rejected = rejected(&schedule.settled());
    let duplicates = rejected.iter().filter(|row| row.rule == "source/duplicate");
    assert_eq!(duplicates.count(), 20);
    assert!(seen.last().expect("events").starts_with("Exhausted"));
}

#[test]
fn a_fault_of_the_proposer_keeps_what_is_under_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let (end, _) = with_proposer(folder.path(), Box::new(Broken));
    assert!(end.expect_err("broken").to_string().contains("out of order"));
    let past = Archive::open(folder.path(), 1).expect("an archive").past().expect("a past");
    assert_eq!(past.len(), 4);
    assert!(past[..3].iter().all(|baseline| baseline.outcome.is_some()));
}

/// Training panics.
struct Buggy;

impl Stages for Buggy {
    type AuditedSource = ();
    type Component = ();
    type AuditedComponent = ();
    type Loss = ();

    fn audit_source(&self, _: &Candidate) -> Result<(), Failure> {
        Ok(())
    }

    fn compile(&self, (): &()) -> Result<(), Failure> {
        Ok(())
    }

    fn audit_component(&self, (): ()) -> Result<(), Failure> {
        Ok(())
    }

    fn probe(&self, (): ()) -> Result<(), Failure> {
        Ok(())
    }

    fn train(&self, (): &(), _: u64, _: &mut dyn FnMut(Progress)) -> Result<SeedResult, Failure> {
        panic!("index out of bounds")
    }
}

#[test]
fn a_panic_in_a_worker_is_a_fault_and_not_a_hang() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut archive = Archive::open(folder.path(), 2).expect("an archive");
    let mut observer = |_: Event<'_>| {};
    let search = Search {
        schedule: Schedule::new(SMALL.rules(), Vec::new()),
        archive: &mut archive,
        observer: &mut observer,
        baselines: baselines::ALL[..3].iter().map(baselines::candidate).collect(),
        wanted: 1,
        seeds: &SEEDS,
        workers: 2,
    };
    let end = super::search(&Buggy, Box::new(Parrot), search);
    assert!(matches!(end, Err(Fault::Panic(text)) if text == "index out of bounds"));
}
