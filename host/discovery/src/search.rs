//! The search: asks for proposals, has candidates judged, and writes everything down.
//!
//! One thread, the caller's, owns the archive, the schedule and the observer. Everything else happens on other threads
//! that send it messages: the proposer, one bench for each candidate that is being judged, and the workers that train.
//! A thread that reports a step goes on when the step is on disk. What comes next is decided by `schedule` alone.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope};

use sandbox::{Rejection, Stage};
use trainer::Fitness;

use crate::Fault;
use crate::archive::{Archive, Record};
use crate::bench::{Bench, Setback};
use crate::candidate::{Candidate, Outcome};
use crate::crew::{Crew, catch};
use crate::journal::{Journal, Message, News, journal};
use crate::observer::{Event, Observer};
use crate::pipeline;
use crate::proposer::{History, Proposer, Reply};
use crate::schedule::{Schedule, Step};
use crate::stages::Stages;

/// What a search works on.
pub(crate) struct Search<'a> {
    pub(crate) schedule: Schedule,
    pub(crate) archive: &'a mut Archive,
    pub(crate) observer: &'a mut dyn Observer,
    /// Opens the archive, in this order.
    pub(crate) baselines: Vec<Candidate>,
    /// Candidates wanted beside the baselines.
    pub(crate) wanted: usize,
    /// The seeds of every candidate's trainings.
    pub(crate) seeds: &'a [u64],
    /// Trainings at a time.
    pub(crate) workers: usize,
}

/// The other threads, as the search reaches them.
struct Hands<'scope, 'env, S: Stages> {
    scope: &'scope Scope<'scope, 'env>,
    stages: &'scope S,
    crew: &'scope Crew<S::Loss>,
    seeds: &'scope [u64],
    journal: Journal,
    questions: Sender<(usize, History)>,
}

/// Searches to the end. In the schedule that comes back everything is settled.
pub(crate) fn search<S: Stages>(
    stages: &S,
    proposer: Box<dyn Proposer>,
    mut search: Search<'_>,
) -> Result<Schedule, Fault> {
    let (journal, messages) = journal();
    let questions = listen(proposer, journal.clone());
    let (crew, seeds) = (Crew::new(), search.seeds);
    search.add_baselines()?;
    thread::scope(|scope| {
        for worker in 0..search.workers {
            let (crew, journal) = (&crew, journal.clone());
            scope.spawn(move || crew.work(worker, stages, &journal));
        }
        let hands = Hands { scope, stages, crew: &crew, seeds, journal, questions };
        let mut under_way = UnderWay::default();
        let end = search.go(&hands, &messages, &mut under_way);
        crew.close();
        search.wind_up(&messages, &mut under_way);
        end
    })?;
    Ok(search.schedule)
}

/// What the search waits for.
#[derive(Default)]
struct UnderWay {
    benches: usize,
    asked: bool,
}

impl Search<'_> {
    /// Those of an earlier session are there already.
    fn add_baselines(&mut self) -> Result<(), Fault> {
        for slot in self.schedule.len()..self.baselines.len() {
            self.add(self.baselines[slot].clone(), None, None)?;
        }
        Ok(())
    }

    fn go<S: Stages>(
        &mut self,
        hands: &Hands<'_, '_, S>,
        messages: &Receiver<Message>,
        under_way: &mut UnderWay,
    ) -> Result<(), Fault> {
        loop {
            match self.schedule.next(self.workers + 1) {
                Step::Judge(slot) => {
                    let (candidate, archived) = self.schedule.begin(slot);
                    under_way.benches += 1;
                    hands.judge(slot, candidate, archived);
                }
                Step::Propose(proposal) if !under_way.asked => {
                    under_way.asked = true;
                    self.observer.on_event(Event::Proposing { proposal });
                    hands.ask(proposal, self.schedule.history(proposal));
                }
                Step::Propose(_) | Step::Wait => {
                    let message = messages.recv().expect("the hands hold a journal");
                    self.hear(message, under_way)?;
                }
                Step::Done => {
                    self.say_whether_exhausted();
                    return Ok(());
                }
            }
        }
    }

    /// Finishes and writes down what is half done, whatever ended the search.
    fn wind_up(&mut self, messages: &Receiver<Message>, under_way: &mut UnderWay) {
        while under_way.benches > 0 {
            let message = messages.recv().expect("a bench reports before it ends");
            // What went wrong first is already known; a bench whose record is not written stops.
            let _ = self.hear(message, under_way);
        }
    }

    fn hear(&mut self, message: Message, under_way: &mut UnderWay) -> Result<(), Fault> {
        match message {
            Message::Write { slot, record, written } => {
                self.archive.write(slot, &record)?;
                // The bench waits for this; if it is gone, so is its interest.
                let _ = written.send(());
                Ok(())
            }
            Message::News(news) => {
                self.show(news);
                Ok(())
            }
            Message::Proposed(reply) => {
                under_way.asked = false;
                self.take_up(reply?)
            }
            Message::Judged { slot, end } => {
                under_way.benches -= 1;
                self.settle(slot, end)
            }
        }
    }

    fn take_up(&mut self, reply: Option<Reply>) -> Result<(), Fault> {
        match reply {
            None => self.schedule.end_replies(),
            Some(Reply::Malformed { candidate, text, rejection }) => {
                self.add(candidate, Some(text), Some(rejection))?;
            }
            Some(Reply::Proposal(candidate)) => {
                let rejection = self.schedule.twin_of(&candidate).map(duplicate);
                self.add(candidate, None, rejection)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        candidate: Candidate,
        reply: Option<String>,
        rejection: Option<Rejection>,
    ) -> Result<(), Fault> {
        let slot = self.schedule.len();
        let record = Record::Candidate { candidate, reply, rejection };
        self.archive.write(slot, &record)?;
        let Record::Candidate { candidate, rejection, .. } = record else {
            return Ok(());
        };
        let Candidate { name, origin, thought, .. } = &candidate;
        self.observer.on_event(Event::Candidate { slot, name, origin, thought });
        if let Some(rejection) = &rejection {
            self.observer.on_event(Event::Rejected { slot, name, rejection });
        }
        self.schedule.add(candidate, rejection.map(Outcome::Rejected));
        Ok(())
    }

    fn settle(&mut self, slot: usize, end: Result<Fitness, Setback>) -> Result<(), Fault> {
        let outcome = match end {
            Ok(fitness) => Outcome::Scored(fitness),
            Err(Setback::Rejected(rejection)) => Outcome::Rejected(rejection),
            Err(Setback::Fault(fault)) => return Err(fault),
            Err(Setback::Stopped) => return Ok(()),
        };
        let record = Record::Outcome(outcome.clone());
        self.archive.write(slot, &record)?;
        self.schedule.settle(slot, outcome.clone());
        let name = &self.schedule.candidate(slot).name;
        match (&outcome, self.schedule.best()) {
            (Outcome::Scored(fitness), Some((best, highest))) => {
                self.observer.on_event(Event::Scored {
                    slot,
                    name,
                    fitness,
                    best: (&best.name, highest),
                });
            }
            (Outcome::Rejected(rejection), _) => {
                self.observer.on_event(Event::Rejected { slot, name, rejection })
            }
            _ => {}
        }
        Ok(())
    }

    fn show(&mut self, news: News) {
        match news {
            News::Entered { slot, stage: Stage::Train } => self.schedule.enter_training(slot),
            News::Trained { slot, .. } => self.schedule.trained(slot),
            _ => {}
        }
        let name = |slot: usize| self.schedule.candidate(slot).name.as_str();
        self.observer.on_event(match news {
            News::Paused(ref pause) => Event::AskingAgain {
                reason: &pause.reason,
                wait: pause.wait,
                attempt: pause.attempt,
            },
            News::Entered { slot, stage } => Event::Stage { slot, name: name(slot), stage },
            News::Training { slot, worker, seed_index, ref progress } => {
                Event::Training { worker, slot, name: name(slot), seed_index, progress }
            }
            News::Trained { slot, worker, seed_index } => {
                let trainings = self.schedule.trainings();
                Event::Trained { worker, slot, name: name(slot), seed_index, trainings }
            }
        });
    }

    fn say_whether_exhausted(&mut self) {
        let (scored, wanted) = (self.schedule.n_scored(), self.wanted);
        if scored < wanted {
            let proposals = self.schedule.n_proposals();
            self.observer.on_event(Event::Exhausted { scored, wanted, proposals });
        }
    }
}

impl<S: Stages> Hands<'_, '_, S> {
    fn judge(
        &self,
        slot: usize,
        candidate: Candidate,
        archived: Vec<(usize, crate::archive::Trained)>,
    ) {
        let &Hands { stages, crew, seeds, .. } = self;
        let (journal, report) = (self.journal.clone(), self.journal.clone());
        self.scope.spawn(move || {
            let bench = Bench { stages, crew, journal, slot, candidate, seeds, archived };
            let end = catch(|| pipeline::judge(&bench));
            report.send(Message::Judged { slot, end });
        });
    }

    fn ask(&self, proposal: usize, history: History) {
        // The proposer listens as long as this sender lives.
        let _ = self.questions.send((proposal, history));
    }
}

/// Gives the proposer a thread of its own. It is not waited for: an answer that nobody wants any more is lost.
fn listen(mut proposer: Box<dyn Proposer>, journal: Journal) -> Sender<(usize, History)> {
    let (questions, asked) = channel();
    let pauses = journal.clone();
    proposer.tell_of_pauses(Box::new(move |pause| pauses.tell(News::Paused(pause))));
    thread::spawn(move || {
        for (proposal, history) in asked {
            let reply = catch(|| proposer.propose(proposal, &history));
            journal.send(Message::Proposed(reply));
        }
    });
    questions
}

/// The rule that such a proposal breaks: its name, and what it forbids.
pub(crate) const DUPLICATE: (&str, &str) =
    ("source/duplicate", "proposals whose source the run has seen, up to what the loss is called");

/// The verdict on a proposal that was made before. It names nothing that depends on timing.
fn duplicate(earlier: &Candidate) -> Rejection {
    Rejection::new(
        Stage::Source,
        DUPLICATE.0,
        format!(
            "this is the same source as {} ({}), up to what it is called",
            earlier.name, earlier.id
        ),
        "propose something that was not proposed before",
    )
}

#[cfg(test)]
mod tests;
