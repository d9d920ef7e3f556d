//! What happens next: a function of what happened so far, without threads, clocks or files.
//!
//! Four rules make a run independent of timing, of the number of workers and of being killed:
//! - baselines come before all proposals;
//! - proposal n sees the outcomes of the proposals before n − lag, and is not made before they are all there;
//! - of the later ones it sees whether a gate before training turned them away, and is not made before that is known:
//!   gates take seconds, trainings minutes;
//! - proposal n is made if and only if fewer than N of the proposals before it were scored. While that hangs on one
//!   that is still being judged, nobody guesses.

use std::collections::HashMap;

use sandbox::Stage;
use trainer::Fitness;

use crate::archive::{PastCandidate, Trained};
use crate::candidate::{Candidate, CandidateId, Outcome};
use crate::proposer::History;

/// The numbers that the rules depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) n_baselines: usize,
    /// N: proposals to be scored.
    pub(crate) candidates: usize,
    pub(crate) proposals_max: usize,
    pub(crate) lag: usize,
    pub(crate) n_seeds: usize,
}

/// All candidates of the run, by slot: baselines first, then proposals.
#[derive(Debug)]
pub(crate) struct Schedule {
    rules: Rules,
    slots: Vec<Slot>,
    /// By what they compute, not by what they are called; replies without a source are not here.
    slot_of: HashMap<CandidateId, usize>,
    replies_end: bool,
}

#[derive(Debug)]
struct Slot {
    candidate: Candidate,
    archived: Vec<(usize, Trained)>,
    trainings_done: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    /// In the gates before training.
    Running,
    /// Past them.
    Training,
    Settled(Outcome),
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Judge the candidate in this slot.
    Judge(usize),
    /// Ask for this proposal.
    Propose(usize),
    /// Nothing, until something that is under way is done.
    Wait,
    /// Nothing any more.
    Done,
}

impl Schedule {
    pub(crate) fn new(rules: Rules, past: Vec<PastCandidate>) -> Self {
        let mut schedule =
            Schedule { rules, slots: Vec::new(), slot_of: HashMap::new(), replies_end: false };
        for PastCandidate { candidate, trainings, outcome } in past {
            let slot = schedule.add(candidate, outcome);
            schedule.slots[slot].trainings_done = trainings.len();
            schedule.slots[slot].archived = trainings;
        }
        schedule
    }

    /// What to do next, if at most `ahead` candidates may be judged at a time.
    pub(crate) fn next(&self, ahead: usize) -> Step {
        let running = self.count(|slot| matches!(slot.state, State::Running | State::Training));
        let waiting = self.slots.iter().position(|slot| matches!(slot.state, State::Waiting));
        match waiting {
            Some(slot) if running < ahead => Step::Judge(slot),
            Some(_) => Step::Wait,
            None => self.next_proposal(),
        }
    }

    fn next_proposal(&self) -> Step {
        let (baselines, proposals) =
            self.slots.split_at(self.rules.n_baselines.min(self.slots.len()));
        let n = proposals.len();
        let visible = baselines.iter().chain(&proposals[..n.saturating_sub(self.rules.lag)]);
        let mut all = baselines.iter().chain(proposals);
        let scored = self.n_scored();
        let unsettled = proposals.iter().filter(|slot| slot.outcome().is_none()).count();
        let over =
            scored >= self.rules.candidates || n >= self.rules.proposals_max || self.replies_end;
        if over {
            return if all.all(|slot| slot.outcome().is_some()) { Step::Done } else { Step::Wait };
        }
        let certain = scored + unsettled < self.rules.candidates;
        let through_the_gates =
            proposals.iter().all(|slot| matches!(slot.state, State::Training | State::Settled(_)));
        let known = through_the_gates && visible.into_iter().all(|slot| slot.outcome().is_some());
        if certain && known { Step::Propose(n) } else { Step::Wait }
    }

    /// What proposal `n` may know.
    pub(crate) fn history(&self, n: usize) -> History {
        let end_of_visible = self.rules.n_baselines + n.saturating_sub(self.rules.lag);
        let (visible, later) = self.slots.split_at(end_of_visible.min(self.slots.len()));
        let judged = |slot: &Slot| Some((slot.candidate.clone(), slot.outcome()?.clone()));
        let (turned_away, pending): (Vec<&Slot>, Vec<&Slot>) =
            later.iter().partition(|slot| slot.is_turned_away());
        let seen = visible.iter().chain(turned_away);
        History {
            judged: seen.filter_map(judged).collect(),
            pending: pending.iter().map(|slot| slot.candidate.clone()).collect(),
        }
    }

    /// Adds a candidate, with its outcome if that is known already, and gives its slot.
    pub(crate) fn add(&mut self, candidate: Candidate, outcome: Option<Outcome>) -> usize {
        let slot = self.slots.len();
        if !candidate.source.is_empty() {
            let computes = CandidateId::of_nameless(&candidate.source);
            self.slot_of.entry(computes).or_insert(slot);
        }
        let state = outcome.map_or(State::Waiting, State::Settled);
        self.slots.push(Slot { candidate, archived: Vec::new(), trainings_done: 0, state });
        slot
    }

    /// Marks a candidate as being judged and hands out what judging it needs: itself and its archived trainings.
    pub(crate) fn begin(&mut self, slot: usize) -> (Candidate, Vec<(usize, Trained)>) {
        let slot = &mut self.slots[slot];
        slot.state = State::Running;
        (slot.candidate.clone(), std::mem::take(&mut slot.archived))
    }

    /// The candidate is through the gates before training.
    pub(crate) fn enter_training(&mut self, slot: usize) {
        self.slots[slot].state = State::Training;
    }

    pub(crate) fn settle(&mut self, slot: usize, outcome: Outcome) {
        self.slots[slot].state = State::Settled(outcome);
    }

    /// The proposer has nothing left to say.
    pub(crate) fn end_replies(&mut self) {
        self.replies_end = true;
    }

    pub(crate) fn trained(&mut self, slot: usize) {
        self.slots[slot].trainings_done += 1;
    }

    /// The first candidate whose source is this one, up to what it is called.
    pub(crate) fn twin_of(&self, candidate: &Candidate) -> Option<&Candidate> {
        self.slot_of
            .get(&CandidateId::of_nameless(&candidate.source))
            .map(|&slot| &self.slots[slot].candidate)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn n_proposals(&self) -> usize {
        self.slots.len().saturating_sub(self.rules.n_baselines)
    }

    /// Proposals that were scored.
    pub(crate) fn n_scored(&self) -> usize {
        let proposals = self.slots.iter().skip(self.rules.n_baselines);
        proposals
            .filter(|slot| slot.outcome().is_some_and(|outcome| outcome.fitness().is_some()))
            .count()
    }

    pub(crate) fn candidate(&self, slot: usize) -> &Candidate {
        &self.slots[slot].candidate
    }

    /// Everything that is settled, in the order of the run.
    pub(crate) fn settled(&self) -> Vec<(&Candidate, &Outcome)> {
        self.slots.iter().filter_map(|slot| Some((&slot.candidate, slot.outcome()?))).collect()
    }

    /// The best so far.
    pub(crate) fn best(&self) -> Option<(&Candidate, &Fitness)> {
        let scored = self
            .slots
            .iter()
            .filter_map(|slot| Some((&slot.candidate, slot.outcome()?.fitness()?)));
        scored.max_by(|(left_of, left), (right_of, right)| {
            let by_mean = left.mean.total_cmp(&right.mean);
            by_mean.then_with(|| right_of.rank_of_equals().cmp(&left_of.rank_of_equals()))
        })
    }

    /// Trainings done, and how many there will be if nothing further is rejected.
    pub(crate) fn trainings(&self) -> (usize, usize) {
        let done = self.slots.iter().map(|slot| slot.trainings_done).sum();
        let unsettled = self.slots.iter().filter(|slot| slot.outcome().is_none());
        let under_way: usize =
            unsettled.map(|slot| self.rules.n_seeds.saturating_sub(slot.trainings_done)).sum();
        let proposed = self
            .slots
            .iter()
            .skip(self.rules.n_baselines)
            .filter(|slot| !slot.is_rejected())
            .count();
        let unproposed = self.rules.candidates.saturating_sub(proposed);
        let unadded = self.rules.n_baselines.saturating_sub(self.slots.len());
        (done, done + under_way + (unproposed + unadded) * self.rules.n_seeds)
    }

    fn count(&self, is: impl Fn(&Slot) -> bool) -> usize {
        self.slots.iter().filter(|slot| is(slot)).count()
    }
}

impl Slot {
    fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Settled(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Whether a gate before training rejected it: what becomes of its trainings is known at another time in every run.
    fn is_turned_away(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Rejected(rejection)) if rejection.stage != Stage::Train)
    }

    fn is_rejected(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Rejected(_)))
    }
}

#[cfg(test)]
mod tests;
