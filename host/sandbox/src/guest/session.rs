//! One plugin and its calls, wherever it runs: what may be asked, what counts as an answer, and when to ask again.
//!
//! Fuel is the verdict and the wall clock only a guard, so a call that meets the clock alone is repeated once with the
//! machine to itself. Nothing that comes back is believed before its lengths and its fuel are checked here.

use std::time::Duration;

use guest_sdk::{Metadata, Pairs};

use super::{Answer, Evaluation, Home, Problem, Recipe, protocol, rules};
use crate::limits::{PAIRS_MAX, fuel_of_call};
use crate::printable::shown;
use crate::workroom::Workroom;
use crate::{Failure, Fault, Rejection, Stage};

/// A plugin that has described itself and can be called.
#[derive(Debug)]
pub(super) struct Session<H> {
    home: H,
    metadata: Metadata,
    recipe: Recipe,
    workroom: Workroom,
    stage: Stage,
}

impl<H: Home> Session<H> {
    pub(super) fn start(recipe: Recipe, workroom: Workroom, stage: Stage) -> Result<Self, Failure> {
        let first = {
            let _together = workroom.together();
            H::start(&recipe)?
        };
        let started = match first {
            Err(Problem::Timeout) => {
                let _alone = workroom.alone();
                H::start(&recipe)?
            }
            started => started,
        };
        let (home, metadata) = started.map_err(|problem| {
            let wall = recipe.walls.start;
            let slow = || format!("to compile the component and have it describe itself took longer than {} s, twice", seconds(wall));
            rejection(&problem, stage, slow)
        })?;
        Ok(Session { home, metadata, recipe, workroom, stage })
    }

    pub(super) fn home(&self) -> &H {
        &self.home
    }

    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(super) fn evaluate(
        &mut self,
        pairs: &Pairs,
        hyperparameters: &[f64],
    ) -> Result<Evaluation, Failure> {
        self.check_call(pairs, hyperparameters)?;
        let first = {
            let _together = self.workroom.together();
            self.home.evaluate(pairs, hyperparameters)
        };
        let answer = match first {
            Err(Problem::Timeout) => self.evaluate_alone(pairs, hyperparameters)?,
            answer => answer,
        };
        let judged = answer.and_then(|evaluation| believable(evaluation, pairs.len())).map_err(
            |problem| {
                let wall = self.recipe.walls.call_inside.min(self.recipe.walls.call);
                let slow = || {
                    format!(
                        "the call took longer than {} s, twice, the second time alone",
                        seconds(wall)
                    )
                };
                rejection(&problem, self.stage, slow)
            },
        )?;
        Ok(self.of_right_lengths(judged, pairs.len())?)
    }

    /// The same call with nothing else at work, in a new home if the old one did not survive.
    fn evaluate_alone(&mut self, pairs: &Pairs, hyperparameters: &[f64]) -> Result<Answer, Fault> {
        let _alone = self.workroom.alone();
        if self.home.is_over() {
            match H::start(&self.recipe)? {
                Ok((home, metadata)) if metadata == self.metadata => self.home = home,
                Ok(_) => return Ok(Err(Problem::Crash)),
                Err(problem) => return Ok(Err(problem)),
            }
        }
        Ok(self.home.evaluate(pairs, hyperparameters))
    }

    fn check_call(&self, pairs: &Pairs, hyperparameters: &[f64]) -> Result<(), Fault> {
        pairs.check_lengths().map_err(Fault::Call)?;
        if pairs.len() > PAIRS_MAX {
            return Err(Fault::Call(format!(
                "{} pairs in one call, expected at most {PAIRS_MAX}",
                pairs.len()
            )));
        }
        let (expected, got) = (self.metadata.hyperparameters.len(), hyperparameters.len());
        if expected != got {
            return Err(Fault::Call(format!("expected {expected} hyperparameters, got {got}")));
        }
        Ok(())
    }

    fn of_right_lengths(
        &self,
        evaluation: Evaluation,
        n_pairs: usize,
    ) -> Result<Evaluation, Rejection> {
        let lists = [
            ("losses", &evaluation.losses),
            ("policy-chosen gradients", &evaluation.policy_chosen),
            ("policy-rejected gradients", &evaluation.policy_rejected),
        ];
        match lists.iter().find(|(_, list)| list.len() != n_pairs) {
            None => Ok(evaluation),
            Some((name, list)) => {
                let message = format!("expected {n_pairs} {name}, got {}", list.len());
                Err(in_stage(rules::LENGTHS.rejection(message), self.stage))
            }
        }
    }
}

/// A call cannot have taken more fuel than it was given.
fn believable(evaluation: Evaluation, n_pairs: usize) -> Answer {
    match evaluation.fuel <= fuel_of_call(n_pairs) {
        true => Ok(evaluation),
        false => Err(Problem::Crash),
    }
}

/// `slow` is what is said of a clock that was met: which one depends on what was asked.
fn rejection(problem: &Problem, stage: Stage, slow: impl FnOnce() -> String) -> Rejection {
    let (rule, message) = match problem {
        Problem::Fuel => (&rules::FUEL, "the call ran out of fuel".to_owned()),
        Problem::Timeout => (&rules::TIMEOUT, slow()),
        Problem::Crash => {
            (&rules::CRASH, "the plugin's process ended or answered nonsense".to_owned())
        }
        Problem::Trap(text) => (&rules::TRAP, format!("the plugin trapped: {text}")),
        Problem::Guest(text) => (&rules::ERROR, format!("the plugin reported an error: {text}")),
        Problem::World(text) => (&rules::WORLD, text.clone()),
    };
    in_stage(rule.rejection(printable(&message)), stage)
}

fn in_stage(rejection: Rejection, stage: Stage) -> Rejection {
    Rejection { stage, ..rejection }
}

/// Whole seconds are written as such.
fn seconds(wall: Duration) -> String {
    wall.as_secs_f64().to_string()
}

/// A guest can put anything into a text, terminal control sequences too.
fn printable(text: &str) -> String {
    protocol::cut(text).chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_says_nothing_that_does_not_show() {
        let said = Problem::Guest("\u{202e}worse\u{e0041}\u{1b}[2J".to_owned());
        assert_eq!(
            rejection(&said, Stage::Probe, String::new).message,
            "the plugin reported an error: \u{fffd}worse\u{fffd}\u{fffd}[2J"
        );
    }
}
