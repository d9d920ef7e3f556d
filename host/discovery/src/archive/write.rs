//! What is written, and when: one transaction for each record.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, params};
use serde::Serialize;

use super::Record;
use crate::candidate::{Candidate, Outcome};

/// Begins a session and gives its number.
pub(super) fn session(connection: &Connection, workers: usize) -> rusqlite::Result<i64> {
    connection.execute(
        "INSERT INTO sessions (began, workers) VALUES (?1, ?2)",
        params![now_ms(), workers],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Stores the settings, all or none.
pub(super) fn settings(
    connection: &mut Connection,
    settings: &[(String, String)],
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for (name, value) in settings {
        transaction
            .execute("INSERT INTO settings (name, value) VALUES (?1, ?2)", params![name, value])?;
    }
    transaction.commit()
}

/// Writes one step, and the event that tells of it.
pub(super) fn record(
    connection: &mut Connection,
    session: i64,
    slot: usize,
    record: &Record,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    match record {
        Record::Candidate { candidate, reply, rejection } => {
            insert_candidate(&transaction, slot, candidate, reply.as_deref())?;
            if let Some(rejection) = rejection {
                insert_outcome(&transaction, slot, &Outcome::Rejected(rejection.clone()))?;
            }
        }
        Record::Passed { stage } => {
            let passed = "INSERT INTO passed (slot, stage) VALUES (?1, ?2)";
            transaction.execute(passed, params![slot, stage.to_string()])?;
        }
        Record::Training { seed_index, trained } => {
            let training = "INSERT INTO trainings (slot, seed_index, result, rejection) VALUES (?1, ?2, ?3, ?4)";
            let (result, rejection) =
                (trained.as_ref().ok().map(json), trained.as_ref().err().map(json));
            transaction.execute(training, params![slot, seed_index, result, rejection])?;
        }
        Record::Outcome(outcome) => insert_outcome(&transaction, slot, outcome)?,
    }
    let event = "INSERT INTO events (session, at, slot, what) VALUES (?1, ?2, ?3, ?4)";
    transaction.execute(event, params![session, now_ms(), slot, what_happened(record)])?;
    transaction.commit()
}

fn insert_candidate(
    transaction: &Transaction<'_>,
    slot: usize,
    candidate: &Candidate,
    reply: Option<&str>,
) -> rusqlite::Result<()> {
    let Candidate { id, name, origin, thought, source, parents, genotype } = candidate;
    transaction.execute(
        "INSERT INTO candidates (slot, id, name, origin, thought, source, parents, genotype, reply)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            slot,
            id.as_str(),
            name,
            origin,
            thought,
            source,
            json(parents),
            genotype.as_ref().map(json),
            reply
        ],
    )?;
    Ok(())
}

fn insert_outcome(
    transaction: &Transaction<'_>,
    slot: usize,
    outcome: &Outcome,
) -> rusqlite::Result<()> {
    let (fitness, rejection) = match outcome {
        Outcome::Scored(fitness) => (Some(json(fitness)), None),
        Outcome::Rejected(rejection) => (None, Some(json(rejection))),
    };
    let outcome = "INSERT INTO outcomes (slot, fitness, rejection) VALUES (?1, ?2, ?3)";
    transaction.execute(outcome, params![slot, fitness, rejection])?;
    Ok(())
}

fn what_happened(record: &Record) -> String {
    match record {
        Record::Candidate { candidate, rejection: None, .. } => {
            format!("candidate {}", candidate.name)
        }
        Record::Candidate { rejection: Some(rejection), .. } => {
            format!("rejected by {}", rejection.rule)
        }
        Record::Passed { stage } => format!("passed {stage}"),
        Record::Training { seed_index, trained: Ok(_) } => {
            format!("trained with seed {seed_index}")
        }
        Record::Training { seed_index, trained: Err(_) } => {
            format!("rejected while training with seed {seed_index}")
        }
        Record::Outcome(Outcome::Scored(fitness)) => format!("scored {}", fitness.mean),
        Record::Outcome(Outcome::Rejected(rejection)) => format!("rejected by {}", rejection.rule),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data is JSON")
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
