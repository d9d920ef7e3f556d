//! What an earlier session left behind. It is read once, when a run is opened.

use std::path::Path;

use rusqlite::{Connection, Row};
use sandbox::Stage;
use serde::de::DeserializeOwned;

use super::Trained;
use crate::Fault;
use crate::candidate::{Candidate, CandidateId, Outcome};

/// Everything that happened, by slot.
pub(crate) type Past = Vec<PastCandidate>;

/// What is known of the candidate in one slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PastCandidate {
    pub(crate) candidate: Candidate,
    /// Trainings that ended, by the index of their seed.
    pub(crate) trainings: Vec<(usize, Trained)>,
    pub(crate) outcome: Option<Outcome>,
}

pub(super) fn settings(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    rows(connection, "SELECT name, value FROM settings ORDER BY name", |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// Each session lasts from its beginning to its last event.
pub(super) fn seconds(connection: &Connection) -> rusqlite::Result<f64> {
    let worked_ms: i64 = connection.query_row(
        "SELECT COALESCE(SUM(ended - began), 0) FROM
             (SELECT began, (SELECT COALESCE(MAX(at), began) FROM events
                             WHERE events.session = sessions.session) AS ended FROM sessions)",
        [],
        |row| row.get(0),
    )?;
    Ok(worked_ms as f64 / 1000.0)
}

pub(super) fn past(connection: &Connection, path: &Path) -> Result<Past, Fault> {
    let candidates = rows(connection, "SELECT * FROM candidates ORDER BY slot", candidate_texts);
    let mut past = Past::new();
    for (slot, texts) in candidates.map_err(Fault::archive(path))? {
        if slot != past.len() {
            let message = format!("expected slot {}, got {slot}", past.len());
            return Err(Fault::Damaged { what: "candidates", message });
        }
        past.push(PastCandidate {
            candidate: texts.candidate()?,
            trainings: Vec::new(),
            outcome: None,
        });
    }
    for (slot, seed_index, result, rejection) in
        trainings(connection).map_err(Fault::archive(path))?
    {
        let trained = either("a training", result, rejection)?;
        in_slot(&mut past, slot)?.trainings.push((seed_index, trained));
    }
    for (slot, fitness, rejection) in outcomes(connection).map_err(Fault::archive(path))? {
        let outcome = either("an outcome", fitness, rejection)?;
        in_slot(&mut past, slot)?.outcome =
            Some(outcome.map_or_else(Outcome::Rejected, Outcome::Scored));
    }
    Ok(past)
}

/// A row of `candidates`, its lists not yet read.
struct CandidateTexts {
    id: String,
    name: String,
    origin: String,
    thought: String,
    source: String,
    parents: String,
    genotype: Option<String>,
}

fn candidate_texts(row: &Row<'_>) -> rusqlite::Result<(usize, CandidateTexts)> {
    let texts = CandidateTexts {
        id: row.get("id")?,
        name: row.get("name")?,
        origin: row.get("origin")?,
        thought: row.get("thought")?,
        source: row.get("source")?,
        parents: row.get("parents")?,
        genotype: row.get("genotype")?,
    };
    Ok((row.get("slot")?, texts))
}

impl CandidateTexts {
    fn candidate(self) -> Result<Candidate, Fault> {
        Ok(Candidate {
            id: CandidateId::from_digits(self.id),
            name: self.name,
            origin: self.origin,
            thought: self.thought,
            source: self.source,
            parents: parsed("parents", &self.parents)?,
            genotype: self.genotype.map(|text| parsed("a genotype", &text)).transpose()?,
        })
    }
}

/// Whether an earlier step says that the candidate in this slot passed this gate.
pub(super) fn has_passed(
    connection: &Connection,
    slot: usize,
    stage: Stage,
) -> rusqlite::Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM passed WHERE slot = ?1 AND stage = ?2)";
    connection.query_row(query, (slot, stage.to_string()), |row| row.get(0))
}

type TrainingTexts = (usize, usize, Option<String>, Option<String>);

fn trainings(connection: &Connection) -> rusqlite::Result<Vec<TrainingTexts>> {
    let query =
        "SELECT slot, seed_index, result, rejection FROM trainings ORDER BY slot, seed_index";
    rows(connection, query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
}

type OutcomeTexts = (usize, Option<String>, Option<String>);

fn outcomes(connection: &Connection) -> rusqlite::Result<Vec<OutcomeTexts>> {
    let query = "SELECT slot, fitness, rejection FROM outcomes ORDER BY slot";
    rows(connection, query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

fn rows<T>(
    connection: &Connection,
    query: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(query)?.query_map([], read)?.collect()
}

fn in_slot(past: &mut Past, slot: usize) -> Result<&mut PastCandidate, Fault> {
    let message = format!("there is no candidate in slot {slot}");
    past.get_mut(slot).ok_or(Fault::Damaged { what: "a result", message })
}

fn either<T: DeserializeOwned, E: DeserializeOwned>(
    what: &'static str,
    good: Option<String>,
    bad: Option<String>,
) -> Result<Result<T, E>, Fault> {
    match (good, bad) {
        (Some(good), _) => parsed(what, &good).map(Ok),
        (None, Some(bad)) => parsed(what, &bad).map(Err),
        (None, None) => Err(Fault::Damaged { what, message: "it is empty".to_owned() }),
    }
}

fn parsed<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| Fault::Damaged { what, message: error.to_string() })
}
