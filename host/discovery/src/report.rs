//! What is left of a run: the leaderboard, the rejected candidates with their reasons, the winner.
//!
//! The leaderboard is a function of the run's settings alone. Only `seconds` tells how fast the machine was.

use std::path::PathBuf;

use sandbox::Stage;
use serde::Serialize;

use crate::candidate::{Candidate, Outcome};

/// A finished run. Serialises to the JSON that `lossbox discover --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The run's directory.
    pub run: String,
    /// Best first; candidates of equal fitness in the order of their identities.
    pub leaderboard: Vec<LeaderboardRow>,
    /// In the order of the run.
    pub rejected: Vec<RejectedRow>,
    /// Whether there are as many as were asked for.
    pub candidates: Counts,
    /// Time that was worked on the run, in all sessions together.
    pub seconds: f64,
    /// The best proposal, if one was scored. Not part of the JSON.
    #[serde(skip)]
    pub winner: Option<Winner>,
    /// What could not be written at the end, and why. Not part of the JSON.
    #[serde(skip)]
    pub unwritten: Vec<String>,
}

/// Proposals, without baselines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// How many the run was to score.
    pub asked: usize,
    /// How many it scored; fewer if the proposals were used up before.
    pub scored: usize,
}

/// A scored candidate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeaderboardRow {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: String,
    /// Who proposed it.
    pub origin: String,
    /// Mean fitness over seeds.
    pub fitness: f64,
    /// Lower end of the 95 % interval of `fitness`.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Mean reward at the end of training.
    pub reward: f64,
    /// Mean KL at the end of training, in nats per completion.
    pub kl: f64,
}

/// A candidate that a gate turned away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RejectedRow {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: String,
    /// The gate.
    pub stage: Stage,
    /// The rule.
    pub rule: String,
    /// What was wrong.
    pub message: String,
}

/// The best proposal.
#[derive(Debug, Clone, PartialEq)]
pub struct Winner {
    /// Its name.
    pub name: String,
    /// Where its source was written.
    pub path: PathBuf,
    /// A baseline that scored higher, if there is one.
    pub beaten_by: Option<String>,
}

/// Candidates with a fitness, best first.
pub(crate) fn leaderboard(settled: &[(&Candidate, &Outcome)]) -> Vec<LeaderboardRow> {
    let mut rows: Vec<LeaderboardRow> = settled
        .iter()
        .filter_map(|(candidate, outcome)| {
            let fitness = outcome.fitness()?;
            Some(LeaderboardRow {
                name: candidate.name.clone(),
                id: candidate.id.to_string(),
                origin: candidate.origin.clone(),
                fitness: fitness.mean,
                low: fitness.low,
                high: fitness.high,
                reward: fitness.reward,
                kl: fitness.kl,
            })
        })
        .collect();
    rows.sort_by(|left, right| {
        right
            .fitness
            .total_cmp(&left.fitness)
            .then_with(|| left.id.cmp(&right.id))
    });
    rows
}

/// Candidates that were turned away, in the order of the run.
pub(crate) fn rejected(settled: &[(&Candidate, &Outcome)]) -> Vec<RejectedRow> {
    let row = |(candidate, outcome): &(&Candidate, &Outcome)| match outcome {
        Outcome::Scored(_) => None,
        Outcome::Rejected(rejection) => Some(RejectedRow {
            name: candidate.name.clone(),
            id: candidate.id.to_string(),
            stage: rejection.stage,
            rule: rejection.rule.clone(),
            message: rejection.message.clone(),
        }),
    };
    settled.iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use sandbox::Rejection;
    use trainer::Fitness;

    use super::*;
    use crate::candidate::CandidateId;

    fn candidate(name: &str, digits: &str) -> Candidate {
        Candidate {
            id: CandidateId::from_digits(digits.to_owned()),
            name: name.to_owned(),
            origin: "evolve".to_owned(),
            thought: String::new(),
            source: String::new(),
            parents: Vec::new(),
            genotype: None,
        }
    }

    fn scored(mean: f64) -> Outcome {
        Outcome::Scored(Fitness {
            mean,
            low: mean - 0.1,
            high: mean + 0.1,
            n: 3,
            reward: 1.0,
            kl: 6.5,
        })
    }

    #[test]
    fn the_best_comes_first_and_ties_go_by_identity() {
        let candidates = [
            candidate("c", "03"),
            candidate("a", "01"),
            candidate("b", "02"),
        ];
        let outcomes = [scored(0.5), scored(0.5), scored(0.75)];
        let settled: Vec<_> = candidates.iter().zip(&outcomes).collect();
        let names: Vec<String> = leaderboard(&settled)
            .into_iter()
            .map(|row| row.name)
            .collect();
        assert_eq!(names, ["b", "a", "c"]);
    }

    #[test]
    fn a_report_has_the_fields_that_were_promised() {
        let candidates = [candidate("good", "01"), candidate("bad", "02")];
        let rejection = Rejection::new(Stage::Probe, "probe/gradient", "off by 2", "no hint");
        let outcomes = [scored(0.5), Outcome::Rejected(rejection)];
        let settled: Vec<_> = candidates.iter().zip(&outcomes).collect();
        let report = Report {
            run: "runs/1".to_owned(),
            leaderboard: leaderboard(&settled),
            rejected: rejected(&settled),
            candidates: Counts {
                asked: 2,
                scored: 1,
            },
            seconds: 1.5,
            winner: None,
            unwritten: vec!["no part of the JSON".to_owned()],
        };
        assert_eq!(
            serde_json::to_string(&report).expect("JSON"),
            "{\"run\":\"runs/1\",\"leaderboard\":[{\"name\":\"good\",\"id\":\"01\",\"origin\":\"evolve\",\
             \"fitness\":0.5,\"low\":0.4,\"high\":0.6,\"reward\":1.0,\"kl\":6.5}],\"rejected\":[{\"name\":\"bad\",\
             \"id\":\"02\",\"stage\":\"probe\",\"rule\":\"probe/gradient\",\"message\":\"off by 2\"}],\
             \"candidates\":{\"asked\":2,\"scored\":1},\"seconds\":1.5}"
        );
    }
}
