//! What is left of a run: the leaderboard, the rejected candidates with their reasons, the winner.
//!
//! The leaderboard is a function of the run's settings alone. Only `seconds` tells how fast the machine was.

use std::path::PathBuf;

use sandbox::Stage;
use serde::Serialize;
use trainer::Fitness;

use crate::candidate::{Candidate, CandidateId, Outcome};

/// A finished run. Serialises to the JSON that `lossbox discover --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The run's directory.
    pub run: String,
    /// Best first; of equal fitness, baselines first, then in the order of their identities.
    pub leaderboard: Vec<LeaderboardRow>,
    /// In the order of the run.
    pub rejected: Vec<RejectedRow>,
    /// Whether there are as many as were asked for.
    pub candidates: Counts,
    /// Trainings of each candidate. With one, intervals are bootstraps over prompts; with more, Student's t over seeds.
    pub n_seeds: usize,
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
    /// The losses it was made from, by name; the LLM's and recorded proposals name none.
    pub parents: Vec<String>,
    /// What its author changed, and why.
    pub hypothesis: String,
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
    let mut scored: Vec<_> = settled
        .iter()
        .filter_map(|(candidate, outcome)| Some((*candidate, outcome.fitness()?)))
        .collect();
    scored.sort_by(|(left_of, left), (right_of, right)| {
        let by_mean = right.mean.total_cmp(&left.mean);
        by_mean.then_with(|| left_of.rank_of_equals().cmp(&right_of.rank_of_equals()))
    });
    let row = |(candidate, fitness): (&Candidate, &Fitness)| LeaderboardRow {
        name: candidate.name.clone(),
        id: candidate.id.to_string(),
        origin: candidate.origin.clone(),
        parents: parents(candidate, settled),
        hypothesis: candidate.thought.clone(),
        fitness: fitness.mean,
        low: fitness.low,
        high: fitness.high,
        reward: fitness.reward,
        kl: fitness.kl,
    };
    scored.into_iter().map(row).collect()
}

/// By name where the run knows it, so that a variation of a baseline is not taken for something new.
fn parents(candidate: &Candidate, settled: &[(&Candidate, &Outcome)]) -> Vec<String> {
    let named = |id: &CandidateId| {
        let found = settled.iter().find(|(candidate, _)| candidate.id == *id);
        found.map_or_else(|| id.to_string(), |(parent, _)| parent.name.clone())
    };
    candidate.parents.iter().map(named).collect()
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
    use super::*;
    use sandbox::Rejection;

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
    fn of_equals_the_baseline_leads_and_children_name_their_parents() {
        let baseline =
            Candidate { origin: crate::baselines::ORIGIN.to_owned(), ..candidate("dpo", "09") };
        let child = Candidate { parents: vec![baseline.id.clone()], ..candidate("child", "01") };
        let outcome = scored(0.5);
        let rows = leaderboard(&[(&child, &outcome), (&baseline, &outcome)]);
        assert_eq!((rows[0].name.as_str(), rows[0].parents.len()), ("dpo", 0));
        assert_eq!(rows[1].parents, ["dpo"]);
    }

    #[test]
    fn the_best_comes_first_and_ties_go_by_identity() {
        let candidates = [candidate("c", "03"), candidate("a", "01"), candidate("b", "02")];
        let outcomes = [scored(0.5), scored(0.5), scored(0.75)];
        let settled: Vec<_> = candidates.iter().zip(&outcomes).collect();
        let names: Vec<String> = leaderboard(&settled).into_iter().map(|row| row.name).collect();
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
            candidates: Counts { asked: 2, scored: 1 },
            n_seeds: 3,
            seconds: 1.5,
            winner: None,
            unwritten: vec!["no part of the JSON".to_owned()],
        };
        assert_eq!(
            serde_json::to_string(&report).expect("JSON"),
            "{\"run\":\"runs/1\",\"leaderboard\":[{\"name\":\"good\",\"id\":\"01\",\"origin\":\"evolve\",\"parents\":[],\
             \"hypothesis\":\"\",\"fitness\":0.5,\"low\":0.4,\"high\":0.6,\"reward\":1.0,\"kl\":6.5}],\"rejected\":[{\"name\":\"bad\",\
             \"id\":\"02\",\"stage\":\"probe\",\"rule\":\"probe/gradient\",\"message\":\"off by 2\"}],\
             \"candidates\":{\"asked\":2,\"scored\":1},\"n_seeds\":3,\"seconds\":1.5}"
        );
    }
}
