//! What is written comes back to the last bit, and a run is only resumed as what it was begun as.

use trainer::{Fitness, TrajectoryPoint};

use super::*;
use crate::candidate::CandidateId;

fn candidate() -> Candidate {
    Candidate {
        id: CandidateId::of("fn loss() {}"),
        name: "a".to_owned(),
        origin: "evolve".to_owned(),
        thought: "umläüte and \"quotes\"".to_owned(),
        source: "fn loss() {}\n".to_owned(),
        parents: vec![CandidateId::of("x"), CandidateId::of("y")],
        genotype: Some(serde_json::json!({ "beta": 0.1, "loss": ["a", 1.0 / 3.0] })),
    }
}

/// Numbers that a decimal detour of too few digits would change.
fn seed_result() -> SeedResult {
    SeedResult {
        seed: u64::MAX,
        fitness: 0.1 + 0.2,
        low: -1.0 / 3.0,
        high: std::f64::consts::PI * 1e-7,
        base_reward: 2.225_073_858_507_201_4e-308,
        points: vec![TrajectoryPoint {
            step: 4,
            kl: 1.0 / 49.0,
            kl_error: 5e-324,
            reward: 1e22 / 3.0,
            reward_error: 0.0,
        }],
        n_prompts: 96,
    }
}

#[test]
fn everything_comes_back_to_the_last_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let rejection = Rejection::new(Stage::Train, "train/non-finite", "NaN", "clamp");
    let fitness = Fitness {
        mean: 0.1 + 0.2,
        low: f64::MIN_POSITIVE,
        high: 1.0 / 3.0,
        n: 2,
        reward: 0.7,
        kl: 6.1,
    };
    let mut archive = Archive::open(folder.path(), 2).expect("an archive");
    let mut write = |slot, record| archive.write(slot, &record).expect("written");
    write(0, Record::Candidate { candidate: candidate(), reply: None, rejection: None });
    write(0, Record::Passed { stage: Stage::Source });
    write(0, Record::Training { seed_index: 1, trained: Ok(seed_result()) });
    write(0, Record::Training { seed_index: 0, trained: Err(rejection.clone()) });
    write(0, Record::Outcome(Outcome::Scored(fitness)));
    write(
        1,
        Record::Candidate {
            candidate: candidate(),
            reply: Some("?".to_owned()),
            rejection: Some(rejection.clone()),
        },
    );
    drop(archive);

    let past = Archive::open(folder.path(), 1).expect("an archive").past().expect("a past");
    assert_eq!(past.len(), 2);
    assert_eq!(past[0].candidate, candidate());
    assert_eq!(past[0].trainings, [(0, Err(rejection.clone())), (1, Ok(seed_result()))]);
    assert_eq!(past[0].outcome, Some(Outcome::Scored(fitness)));
    assert_eq!(past[1].outcome, Some(Outcome::Rejected(rejection)));
}

#[test]
fn a_run_is_only_resumed_as_what_it_was_begun_as() {
    let folder = tempfile::tempdir().expect("a folder");
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let mut archive = Archive::open(folder.path(), 1).expect("an archive");
    archive.settle_settings(&pairs(&[("seed", "1"), ("lag", "2")])).expect("begun");
    archive.settle_settings(&pairs(&[("lag", "2"), ("seed", "1")])).expect("the same");
    let fault = archive
        .settle_settings(&pairs(&[("seed", "7"), ("sdk", "ab")]))
        .expect_err("others")
        .to_string();
    for expected in [
        "seed: the run has 1, now it is 7",
        "lag: the run has 2, now it is nothing",
        "sdk: the run has nothing, now it is ab",
    ] {
        assert!(fault.contains(expected), "{fault}");
    }
}
