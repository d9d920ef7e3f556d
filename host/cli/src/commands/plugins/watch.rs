//! `lossbox plugins --watch`: the list, and then a line for each change, until Ctrl-C.
//!
//! One thread looks and prints, another one takes plugins through the gates, the system's events and signals come as
//! messages. A change that makes no other content is not told.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use sandbox::Sandbox;
use serde_json::json;

use super::row::Row;
use super::settling::{Settling, Stamp};
use crate::args::Plugins;
use crate::folder::Entry;
use crate::plugin::printable;
use crate::screen;

/// How long a file must look the same before it is read.
const SETTLE: Duration = Duration::from_millis(200);
/// Time between two looks while something settles, and the least time between any two.
const SOON: Duration = Duration::from_millis(50);
/// Time between two looks otherwise: not every file system tells of every change.
const LATER: Duration = Duration::from_secs(2);
/// How long a plugin that is in the gates when Ctrl-C comes may take.
const FAREWELL: Duration = Duration::from_secs(1);

enum Message {
    /// Something happened in the folder.
    Look,
    /// A plugin came through the gates, or it did not.
    Judged(PathBuf, Result<Option<Box<Row>>>),
    /// Ctrl-C.
    Stop,
}

pub(super) fn run(args: &Plugins, sandbox: Sandbox) -> Result<()> {
    let (sender, inbox) = channel();
    let _watcher = watcher(&args.plugins, sender.clone())?;

    let mut settling = Settling::new(SETTLE);
    let entries = super::entries(&args.plugins)?;
    settling.take(Instant::now(), stamps(&entries));
    let rows = super::judge_all(&sandbox, &entries)?;
    super::show(args, &rows)?;
    stop_on_signals(sender.clone())?;
    screen::note(&format!("watching {}; Ctrl-C ends", args.plugins.display()));
    let told = rows.into_iter().filter_map(|row| Some((row.path()?.to_owned(), row))).collect();
    Watch {
        args,
        told,
        settling,
        waiting: VecDeque::new(),
        is_busy: false,
        gates: gates(sandbox, sender),
    }
    .until_stopped(&inbox)
}

fn stop_on_signals(sender: Sender<Message>) -> Result<()> {
    // Nobody listens any more when the program is about to end anyway.
    ctrlc::set_handler(move || drop(sender.send(Message::Stop))).context("cannot wait for Ctrl-C")
}

fn watcher(folder: &Path, sender: Sender<Message>) -> Result<RecommendedWatcher> {
    if !folder.is_dir() {
        bail!(
            "there is no folder {} to watch\nhint: `lossbox new NAME` makes one, --plugins names another",
            folder.display()
        );
    }
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| is_read(event.kind)) {
            return;
        }
        let _ = sender.send(Message::Look);
    })
    .context("cannot watch folders on this system")?;
    watcher
        .watch(folder, RecursiveMode::Recursive)
        .with_context(|| format!("cannot watch {}", folder.display()))?;
    Ok(watcher)
}

/// Our own looking is an event too, and must not make us look again.
fn is_read(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        kind => kind.is_access(),
    }
}

/// The thread that takes plugins through the gates, one after the other, until nobody sends any more.
fn gates(sandbox: Sandbox, sender: Sender<Message>) -> Sender<(Entry, Vec<Entry>)> {
    let (gates, waiting) = channel::<(Entry, Vec<Entry>)>();
    thread::spawn(move || {
        for (entry, all) in waiting {
            let row = Row::of(&sandbox, &entry, &all).map(|row| row.map(Box::new));
            let path = entry.path.unwrap_or_default();
            if sender.send(Message::Judged(path, row)).is_err() {
                return;
            }
        }
    });
    gates
}

fn stamps(entries: &[Entry]) -> BTreeMap<PathBuf, Stamp> {
    entries
        .iter()
        .filter_map(|entry| entry.path.as_ref())
        .map(|path| (path.clone(), Stamp::of(path)))
        .collect()
}

/// What was told so far, and what is under way.
struct Watch<'a> {
    args: &'a Plugins,
    told: BTreeMap<PathBuf, Row>,
    settling: Settling,
    /// Each with the entries that were there beside it.
    waiting: VecDeque<(Entry, Vec<Entry>)>,
    /// Whether one is in the gates.
    is_busy: bool,
    gates: Sender<(Entry, Vec<Entry>)>,
}

impl Watch<'_> {
    fn until_stopped(mut self, inbox: &Receiver<Message>) -> Result<()> {
        loop {
            let wait = match self.settling.is_waiting() {
                true => SOON,
                false => LATER,
            };
            match inbox.recv_timeout(wait) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return self.end(inbox),
                Ok(Message::Judged(path, row)) => self.judged(path, row)?,
                Ok(Message::Look) | Err(RecvTimeoutError::Timeout) => {
                    self.look()?;
                    thread::sleep(SOON);
                }
            }
        }
    }

    /// Waits a moment for what is in the gates, so that it leaves no temporary folder; says nothing more of plugins.
    fn end(self, inbox: &Receiver<Message>) -> Result<()> {
        let start = Instant::now();
        let mut is_busy = self.is_busy;
        while is_busy {
            let left = FAREWELL.saturating_sub(start.elapsed());
            let message = inbox.recv_timeout(left);
            is_busy = matches!(message, Ok(Message::Look | Message::Stop));
        }
        screen::note("stopped");
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        let entries = super::entries(&self.args.plugins)?;
        let changes = self.settling.look(Instant::now(), stamps(&entries));
        for path in changes.gone {
            if let Some(row) = self.told.remove(&path) {
                self.tell_removed(&row)?;
            }
        }
        for path in changes.settled {
            let entry = entries.iter().find(|entry| entry.path.as_ref() == Some(&path));
            if let Some(entry) = entry {
                self.waiting.push_back((entry.clone(), entries.clone()));
            }
        }
        self.send_next();
        Ok(())
    }

    fn send_next(&mut self) {
        if !self.is_busy
            && let Some(next) = self.waiting.pop_front()
        {
            self.is_busy = self.gates.send(next).is_ok();
        }
    }

    fn judged(&mut self, path: PathBuf, row: Result<Option<Box<Row>>>) -> Result<()> {
        self.is_busy = false;
        self.send_next();
        match row {
            // It vanished meanwhile; if it was told, the next look finds it gone.
            Ok(None) => Ok(()),
            Ok(Some(row)) => {
                let before = self.told.insert(path, (*row).clone());
                match before {
                    None => self.tell("added", &row),
                    Some(before) if before.says_the_same_as(&row) => Ok(()),
                    Some(_) => self.tell("changed", &row),
                }
            }
            // The machine may be well again when the file changes next.
            Err(error) => {
                screen::fault(&error);
                Ok(())
            }
        }
    }

    fn tell(&self, event: &str, row: &Row) -> Result<()> {
        match self.args.json {
            true => screen::json(&json!({ "event": event, "plugin": row })),
            false => screen::data(&format!("{event:<7} {}\n", row.line())),
        }
    }

    fn tell_removed(&self, row: &Row) -> Result<()> {
        match self.args.json {
            true => screen::json(&json!({
                "event": "removed",
                "plugin": { "name": row.name(), "path": row.path().map(|path| path.display().to_string()) },
            })),
            false => screen::data(&format!("removed {}\n", printable(row.name()))),
        }
    }
}
