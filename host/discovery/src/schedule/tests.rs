//! The rules, one by one.

use sandbox::{Rejection, Stage};

use super::*;

const RULES: Rules = Rules { n_baselines: 1, candidates: 3, proposals_max: 6, lag: 1, n_seeds: 2 };

fn candidate(name: &str) -> Candidate {
    Candidate {
        id: CandidateId::of(name),
        name: name.to_owned(),
        origin: "test".to_owned(),
        thought: String::new(),
        source: name.to_owned(),
        parents: Vec::new(),
        genotype: None,
    }
}

fn scored(mean: f64) -> Outcome {
    Outcome::Scored(Fitness { mean, low: mean, high: mean, n: 2, reward: 0.0, kl: 0.0 })
}

fn rejected() -> Outcome {
    Outcome::Rejected(Rejection::new(Stage::Probe, "probe/finite", "NaN", ""))
}

/// A schedule whose baseline is scored, with these proposals; `None` is being judged.
fn schedule(rules: Rules, proposals: &[Option<Outcome>]) -> Schedule {
    let mut schedule = Schedule::new(rules, Vec::new());
    schedule.add(candidate("baseline"), Some(scored(0.1)));
    for (n, outcome) in proposals.iter().enumerate() {
        let slot = schedule.add(candidate(&format!("proposal {n}")), outcome.clone());
        if outcome.is_none() {
            schedule.begin(slot);
            schedule.enter_training(slot);
        }
    }
    schedule
}

#[track_caller]
fn check(proposals: &[Option<Outcome>], expected: Step) {
    assert_eq!(schedule(RULES, proposals).next(4), expected);
}

#[test]
fn proposals_wait_for_the_baselines() {
    let mut schedule = Schedule::new(RULES, Vec::new());
    schedule.add(candidate("baseline"), None);
    assert_eq!(schedule.next(4), Step::Judge(0));
    schedule.begin(0);
    assert_eq!(schedule.next(4), Step::Wait);
    schedule.settle(0, rejected());
    assert_eq!(schedule.next(4), Step::Propose(0));
}

#[test]
fn a_proposal_waits_for_what_it_may_see() {
    check(&[None], Step::Propose(1));
    check(&[None, None], Step::Wait);
    check(&[None, Some(scored(0.5))], Step::Wait);
    check(&[Some(rejected()), None], Step::Propose(2));
}

#[test]
fn a_proposal_waits_for_the_gates_of_all_before_it_and_sees_whom_they_turned_away() {
    let mut schedule = schedule(RULES, &[]);
    let slot = schedule.add(candidate("proposal 0"), None);
    schedule.begin(slot);
    assert_eq!(schedule.next(4), Step::Wait);
    schedule.enter_training(slot);
    assert_eq!(schedule.next(4), Step::Propose(1));
    assert_eq!(schedule.history(1).pending.len(), 1);
    schedule.settle(slot, rejected());
    assert_eq!(schedule.history(1).judged.len(), 2);
    assert!(schedule.history(1).pending.is_empty());
}

/// Whether training has come to its end depends on timing, so that is not to be seen within the lag.
#[test]
fn a_rejection_in_training_is_seen_only_after_the_lag() {
    let in_training = Outcome::Rejected(Rejection::new(Stage::Train, "train/finite", "NaN", ""));
    let schedule = schedule(RULES, &[Some(in_training)]);
    assert_eq!(schedule.history(1).judged.len(), 1);
    assert_eq!(schedule.history(2).judged.len(), 2);
}

#[test]
fn no_proposal_is_made_while_it_is_open_whether_it_is_needed() {
    check(&[Some(scored(0.1)), Some(scored(0.2)), None], Step::Wait);
    check(&[Some(scored(0.1)), Some(scored(0.2)), Some(rejected())], Step::Propose(3));
    check(&[Some(scored(0.1)), Some(scored(0.2)), Some(scored(0.3))], Step::Done);
}

#[test]
fn proposals_end_at_their_limit_or_with_the_replies() {
    let six = vec![Some(rejected()); 6];
    check(&six, Step::Done);
    let mut schedule = schedule(RULES, &[Some(rejected()), None]);
    schedule.end_replies();
    assert_eq!(schedule.next(4), Step::Wait);
    schedule.settle(2, scored(0.5));
    assert_eq!(schedule.next(4), Step::Done);
}

#[test]
fn no_more_candidates_are_judged_at_a_time_than_allowed() {
    let mut schedule = schedule(RULES, &[None]);
    schedule.add(candidate("another"), None);
    assert_eq!(schedule.next(1), Step::Wait);
    assert_eq!(schedule.next(2), Step::Judge(2));
}

#[test]
fn a_proposal_sees_outcomes_before_its_lag_and_only_sources_since() {
    let settled = [Some(scored(0.5)), Some(rejected()), Some(scored(0.7))];
    let history = schedule(RULES, &settled).history(3);
    let judged: Vec<&str> =
        history.judged.iter().map(|(candidate, _)| candidate.name.as_str()).collect();
    assert_eq!(judged, ["baseline", "proposal 0", "proposal 1"]);
    assert_eq!(history.pending.len(), 1);
    assert_eq!(history.pending[0].name, "proposal 2");
}

/// 4 seeds by 2: the baseline, two proposals that are scored or being judged, and one more to come.
#[test]
fn trainings_to_come_are_counted_without_those_of_rejected_candidates() {
    let mut schedule = schedule(RULES, &[Some(rejected()), None, Some(scored(0.3))]);
    schedule.trained(0);
    schedule.trained(0);
    schedule.trained(3);
    schedule.trained(3);
    schedule.trained(2);
    assert_eq!(schedule.trainings(), (5, 8));
}

#[test]
fn the_best_is_the_fittest_and_the_lower_identity_of_equals() {
    let schedule = schedule(RULES, &[Some(scored(0.5)), Some(rejected()), Some(scored(0.5))]);
    let lower = [1, 3].into_iter().min_by_key(|&slot| &schedule.candidate(slot).id).expect("two");
    assert_eq!(
        schedule.best().map(|(candidate, _)| &candidate.id),
        Some(&schedule.candidate(lower).id)
    );
}
