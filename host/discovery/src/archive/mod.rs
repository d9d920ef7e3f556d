//! The run's memory: an SQLite database that every step is written to before the next one starts.
//!
//! Each [`Record`] is one transaction, so a killed process leaves whole steps behind and nothing else. The database is
//! in WAL mode with `synchronous = FULL`: a run writes a few records a second at most, so waiting for the disk costs
//! nothing, and an LLM's reply that was paid for survives a power cut. What to do next is decided in `schedule`.

mod read;
mod write;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sandbox::{Rejection, Stage};
use trainer::SeedResult;

pub(crate) use read::{Past, PastCandidate};

use crate::candidate::{Candidate, Outcome};
use crate::fault::{Difference, Fault};

/// An open archive.
#[derive(Debug)]
pub(crate) struct Archive {
    connection: Connection,
    path: PathBuf,
    session: i64,
    /// For tests: how many records are written before the process dies.
    #[cfg(test)]
    pub(crate) records_left: Option<usize>,
}

/// How one training ended, if neither we nor the machine are at fault.
pub(crate) type Trained = Result<SeedResult, Rejection>;

/// A step of the run.
#[derive(Debug)]
pub(crate) enum Record {
    /// A proposal, before anything is done with it; rejected at once if it is a duplicate or not understood.
    Candidate {
        candidate: Candidate,
        /// What the proposer sent, where that was not understood.
        reply: Option<String>,
        rejection: Option<Rejection>,
    },
    /// A gate is passed.
    Passed { stage: Stage },
    /// A training ended.
    Training { seed_index: usize, trained: Trained },
    /// The candidate is done with.
    Outcome(Outcome),
}

impl Archive {
    /// The database in this directory, and what SQLite keeps beside it.
    pub(crate) fn files(run_dir: &Path) -> [PathBuf; 3] {
        ["archive.sqlite", "archive.sqlite-wal", "archive.sqlite-shm"]
            .map(|name| run_dir.join(name))
    }

    /// Opens the archive in this directory; makes it if there is none.
    pub(crate) fn open(run_dir: &Path, workers: usize) -> Result<Self, Fault> {
        let [path, ..] = Archive::files(run_dir);
        let (connection, session) = open(&path, workers).map_err(Fault::archive(&path))?;
        Ok(Archive {
            connection,
            path,
            session,
            #[cfg(test)]
            records_left: None,
        })
    }

    /// Stores what the run is begun with, or compares it with what it was begun with.
    pub(crate) fn settle_settings(&mut self, now: &[(String, String)]) -> Result<(), Fault> {
        let run = self.settings()?;
        if run.is_empty() {
            return write::settings(&mut self.connection, now).map_err(Fault::archive(&self.path));
        }
        match differences(&run, now) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(Fault::Differs(differences)),
        }
    }

    /// What the run was begun with, by name; nothing if it was not begun.
    pub(crate) fn settings(&self) -> Result<Vec<(String, String)>, Fault> {
        read::settings(&self.connection).map_err(Fault::archive(&self.path))
    }

    /// Writes a step of the candidate in this slot. When it returns, the step is on disk.
    ///
    /// A resumed candidate passes its gates again, since components are not archived. That is nothing new and is not
    /// written again: every record is progress, so that a run that is killed again and again comes to its end.
    pub(crate) fn write(&mut self, slot: usize, record: &Record) -> Result<(), Fault> {
        if let Record::Passed { stage } = record
            && read::has_passed(&self.connection, slot, *stage)
                .map_err(Fault::archive(&self.path))?
        {
            return Ok(());
        }
        #[cfg(test)]
        self.count_down()?;
        let written = write::record(&mut self.connection, self.session, slot, record);
        written.map_err(Fault::archive(&self.path))
    }

    /// Everything that earlier sessions wrote.
    pub(crate) fn past(&self) -> Result<Past, Fault> {
        read::past(&self.connection, &self.path)
    }

    /// Time that was worked on the run until its last step, in all sessions together.
    pub(crate) fn seconds(&self) -> Result<f64, Fault> {
        read::seconds(&self.connection).map_err(Fault::archive(&self.path))
    }

    #[cfg(test)]
    fn count_down(&mut self) -> Result<(), Fault> {
        match &mut self.records_left {
            Some(0) => Err(Fault::settings("killed", "resume")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn open(path: &Path, workers: usize) -> rusqlite::Result<(Connection, i64)> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.execute_batch(include_str!("schema.sql"))?;
    let session = write::session(&connection, workers)?;
    Ok((connection, session))
}

impl Fault {
    fn archive(path: &Path) -> impl FnOnce(rusqlite::Error) -> Fault + use<> {
        let path = path.to_path_buf();
        move |source| Fault::Archive { path, source }
    }
}

/// Settings that are not the same on both sides, those that one side lacks included.
fn differences(run: &[(String, String)], now: &[(String, String)]) -> Vec<Difference> {
    let value = |settings: &[(String, String)], name: &str| {
        let found = settings.iter().find(|(known, _)| known == name);
        found.map_or_else(|| "nothing".to_owned(), |(_, value)| value.clone())
    };
    let added = now.iter().filter(|(name, _)| run.iter().all(|(known, _)| known != name));
    let difference = |(name, _): &(String, String)| Difference {
        name: name.clone(),
        run: value(run, name),
        now: value(now, name),
    };
    let all = run.iter().chain(added).map(difference);
    all.filter(|difference| difference.run != difference.now).collect()
}

#[cfg(test)]
mod tests;
