//! The line by which every thread of a search reports to the one that owns the archive.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use sandbox::Stage;
use trainer::{Fitness, Progress};

use crate::Fault;
use crate::archive::Record;
use crate::bench::Setback;
use crate::proposer::{Pause, Reply};

/// A thread's end of the line.
#[derive(Clone)]
pub(crate) struct Journal(Sender<Message>);

/// What a thread reports.
pub(crate) enum Message {
    /// Write this down, then say so.
    Write { slot: usize, record: Record, written: SyncSender<()> },
    /// For the observer.
    News(News),
    /// The proposer's answer; `None` if it has nothing left to say.
    Proposed(Result<Option<Reply>, Fault>),
    /// A candidate's way through the pipeline ended.
    Judged { slot: usize, end: Result<Fitness, Setback> },
}

/// What is worth seeing and not worth keeping.
pub(crate) enum News {
    /// The proposer waits before it tries again.
    Paused(Pause),
    Entered {
        slot: usize,
        stage: Stage,
    },
    Training {
        slot: usize,
        worker: usize,
        seed_index: usize,
        progress: Progress,
    },
    Trained {
        slot: usize,
        worker: usize,
        seed_index: usize,
    },
}

/// The search is ending; there is nobody left to report to.
#[derive(Debug)]
pub(crate) struct Stopped;

/// A line and its other end.
pub(crate) fn journal() -> (Journal, Receiver<Message>) {
    let (sender, messages) = channel();
    (Journal(sender), messages)
}

impl Journal {
    /// Returns when the record is on disk.
    pub(crate) fn write(&self, slot: usize, record: Record) -> Result<(), Stopped> {
        let (written, wait) = sync_channel(1);
        self.send(Message::Write { slot, record, written });
        wait.recv().map_err(|_| Stopped)
    }

    pub(crate) fn tell(&self, news: News) {
        self.send(Message::News(news));
    }

    pub(crate) fn send(&self, message: Message) {
        // Only a proposer can outlive the search, and then nobody wants its answer.
        let _ = self.0.send(message);
    }
}
