//! The built-in search: mutates and recombines loss expressions, and prints them as plugin source.
//!
//! Parents are chosen from the visible history by tournaments on fitness; baselines take part through their expressions
//! in `known`. A variation that behaves like something proposed before is drawn again. A candidate carries its
//! expression along, so that a resumed run goes on from it. It never asks what a loss scores: the archive says so.

mod expr;
mod formula;
mod grammar;
mod known;
mod print;
mod simplify;
mod value;
mod vary;
mod words;

use std::collections::HashSet;

use super::draw::Draws;
use super::{History, Proposer, Reply};
use crate::Fault;
use crate::candidate::{Candidate, CandidateId};
use expr::{Genotype, Part};
use vary::{Parent, Variant};

/// Candidates that are compared for the place of a parent.
const TOURNAMENT: usize = 3;
/// Draws until something new turns up. A grammar with thousands of losses hardly ever needs five.
const DRAWS_MAX: usize = 200;
/// How often a proposal is made by mutation, by recombination, from nothing.
const WAYS: [f64; 3] = [0.5, 0.35, 0.15];

/// Mutation and recombination of what scored well.
#[derive(Debug)]
pub(crate) struct Evolve {
    seed: u64,
}

impl Evolve {
    pub(crate) fn new(seed: u64) -> Self {
        Evolve { seed }
    }
}

impl Proposer for Evolve {
    fn propose(&mut self, n: usize, history: &History) -> Result<Option<Reply>, Fault> {
        let parents = parents(history);
        Ok(first_new("evolve", self.seed, n, history, |draws| match draws.weighted(&WAYS) {
            0 => {
                let parent = tournament(&parents, draws)?;
                Some((vary::mutated(parent.as_parent(), draws)?, vec![parent.id.clone()]))
            }
            1 => {
                let (parent, donor) = (tournament(&parents, draws)?, tournament(&parents, draws)?);
                let ids = vec![parent.id.clone(), donor.id.clone()];
                let variant = (parent.id != donor.id)
                    .then(|| vary::recombined(parent.as_parent(), donor.as_parent(), draws));
                Some((variant??, ids))
            }
            _ => Some((vary::fresh(draws)?, Vec::new())),
        }))
    }
}

/// Fresh losses only.
pub(super) fn fresh(origin: &str, seed: u64, n: usize, history: &History) -> Option<Reply> {
    first_new(origin, seed, n, history, |draws| Some((vary::fresh(draws)?, Vec::new())))
}

/// A scored candidate that can be varied.
struct Scored<'a> {
    id: &'a CandidateId,
    name: &'a str,
    genotype: Genotype,
    fitness: f64,
}

impl Scored<'_> {
    fn as_parent(&self) -> Parent<'_> {
        Parent { name: self.name, genotype: &self.genotype }
    }
}

fn parents(history: &History) -> Vec<Scored<'_>> {
    let scored = history.judged.iter().filter_map(|(candidate, outcome)| {
        let (id, name, fitness) = (&candidate.id, candidate.name.as_str(), outcome.fitness()?.mean);
        Some(Scored { id, name, genotype: genotype_of(candidate)?, fitness })
    });
    scored.collect()
}

/// The fittest of a few.
fn tournament<'a, 'b>(parents: &'a [Scored<'b>], draws: &mut Draws) -> Option<&'a Scored<'b>> {
    if parents.is_empty() {
        return None;
    }
    let entrants: Vec<&Scored<'b>> = (0..TOURNAMENT).map(|_| draws.pick(parents)).collect();
    entrants.into_iter().max_by(|left, right| left.fitness.total_cmp(&right.fitness))
}

/// The expression that a candidate carries along, or that of a baseline.
fn genotype_of(candidate: &Candidate) -> Option<Genotype> {
    match &candidate.genotype {
        Some(genotype) => serde_json::from_value(genotype.clone()).ok(),
        None => known::genotype(&candidate.name).filter(|_| candidate.origin == "baseline"),
    }
}

/// Draws until something behaves like nothing before it; `None` if that does not happen.
fn first_new(
    origin: &str,
    seed: u64,
    n: usize,
    history: &History,
    mut draw: impl FnMut(&mut Draws) -> Option<(Variant, Vec<CandidateId>)>,
) -> Option<Reply> {
    let mut draws = Draws::of(seed, n);
    let before: HashSet<Vec<i32>> = history
        .candidates()
        .filter_map(genotype_of)
        .filter_map(|genotype| value::fingerprint(&genotype))
        .collect();
    (0..DRAWS_MAX).find_map(|_| {
        let (variant, parents) = draw(&mut draws)?;
        let fingerprint = value::fingerprint(&variant.genotype)?;
        (!before.contains(&fingerprint))
            .then(|| Reply::Proposal(candidate(origin, n, variant, parents)))
    })
}

fn candidate(origin: &str, n: usize, variant: Variant, parents: Vec<CandidateId>) -> Candidate {
    let Variant { genotype, hypothesis } = variant;
    let name = name(&genotype, n);
    let title = words::part(&Part::Penalty(genotype.loss.clone()));
    let source = print::source(&genotype, &name, &title, &hypothesis);
    Candidate {
        id: CandidateId::of(&source),
        name,
        origin: origin.to_owned(),
        thought: hypothesis,
        source,
        parents,
        genotype: Some(serde_json::to_value(&genotype).expect("an expression is JSON")),
    }
}

/// What it is made of, and the proposal's number.
fn name(genotype: &Genotype, n: usize) -> String {
    const LETTERS_MAX: usize = 40;
    let full = words::name(&genotype.loss);
    let short = match full.char_indices().nth(LETTERS_MAX) {
        None => full.as_str(),
        Some((end, _)) => {
            full[..end].rsplit_once('_').map_or(&full[..end], |(whole_words, _)| whole_words)
        }
    };
    format!("{}_{n}", short.trim_end_matches("_plus"))
}

#[cfg(test)]
mod tests;
