//! Streams' queues. Work that is given to a stream waits there until somebody asks for it: a synchronisation, an event, a copy
//! that the host waits for, another stream's work that comes after it. So what a program does not wait for has not happened
//! when it looks, as may be on a card, and what it waits for has happened no earlier than it must.

use std::collections::VecDeque;
use std::time::Instant;

use super::state::{Driver, Work};
use super::{CAPTURE_IMPLICIT, Handle, INVALID_HANDLE, NOT_READY, SUCCESS};

/// The default stream, which waits for all blocking streams and lets them wait for it.
pub(crate) const LEGACY: u64 = 0;
/// The default stream of a thread; all threads share one here.
pub(crate) const PER_THREAD: u64 = 2;

/// Tasks that a stream keeps before it carries out the oldest, as a card's driver would by then.
const TASKS_MAX: usize = 1024;

/// A place in a stream's work: after so many of its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) stream: u64,
    pub(crate) count: u64,
}

enum Task {
    Work(Box<Work>),
    /// What follows comes after another stream's work.
    After(Position),
    /// Notes the time in an event, unless that was recorded again since.
    Record {
        event: u64,
        position: Position,
    },
}

/// A stream.
#[derive(Default)]
pub(crate) struct Stream {
    /// Takes turns with the default stream.
    is_blocking: bool,
    /// The capture that its work goes to.
    pub(crate) capture: Option<u64>,
    tasks: VecDeque<Task>,
    n_given: u64,
    n_done: u64,
}

impl Stream {
    /// A stream without work; a blocking one takes turns with the default stream.
    pub(crate) fn new(is_blocking: bool) -> Self {
        Self { is_blocking, ..Self::default() }
    }
}

/// The number of the stream that a caller's handle means; 1 is another name of the default stream.
pub(crate) fn stream_of(handle: Handle) -> u64 {
    match handle as u64 {
        1 => LEGACY,
        other => other,
    }
}

impl Driver {
    /// Gives work to a stream or, where it is being captured, to the graph.
    pub(crate) fn submit(&mut self, stream: u64, work: Work) -> i32 {
        let is_captured = self.streams.get(&stream).is_some_and(|stream| stream.capture.is_some());
        if !is_captured
            && self.error == SUCCESS
            && let Err(refused) = self.check(&work)
        {
            return refused;
        }
        self.submit_unchecked(stream, work)
    }

    /// The same for work with memory that may not be there yet, as a graph's own.
    pub(crate) fn submit_unchecked(&mut self, stream: u64, work: Work) -> i32 {
        let Some(known) = self.streams.get(&stream) else {
            return INVALID_HANDLE;
        };
        if let Some(capture) = known.capture {
            return self.capture_work(capture, stream, work);
        }
        if stream == LEGACY && self.invalidate_blocking_captures() {
            return CAPTURE_IMPLICIT;
        }
        if self.error != SUCCESS {
            return self.error;
        }
        let (work, is_waited_for) = self.take_host_memory(work);
        self.order_with_default(stream);
        let position = self.push(stream, Task::Work(Box::new(work)));
        if is_waited_for {
            self.run_until(position);
            return self.error;
        }
        SUCCESS
    }

    /// The default stream comes after all blocking streams, and they after it.
    fn order_with_default(&mut self, stream: u64) {
        let is_blocking = |known: &Stream| known.is_blocking;
        let others: Vec<u64> = match stream {
            LEGACY => self
                .streams
                .iter()
                .filter(|(_, known)| is_blocking(known))
                .map(|(other, _)| *other)
                .collect(),
            _ if self.streams.get(&stream).is_some_and(is_blocking) => vec![LEGACY],
            _ => Vec::new(),
        };
        for other in others {
            if let Some(end) = self.end_of(other)
                && self.is_pending(end)
            {
                self.push(stream, Task::After(end));
            }
        }
    }

    /// The captures of blocking streams, for which the default stream would have to wait.
    pub(crate) fn blocking_captures(&self) -> Vec<u64> {
        let blocking = self.streams.values().filter(|stream| stream.is_blocking);
        blocking.filter_map(|stream| stream.capture).collect()
    }

    /// After all that a stream was given.
    pub(crate) fn end_of(&self, stream: u64) -> Option<Position> {
        self.streams.get(&stream).map(|known| Position { stream, count: known.n_given })
    }

    pub(crate) fn is_pending(&self, position: Position) -> bool {
        self.streams.get(&position.stream).is_some_and(|known| known.n_done < position.count)
    }

    fn push(&mut self, stream: u64, task: Task) -> Position {
        let known = self.streams.entry(stream).or_default();
        known.tasks.push_back(task);
        known.n_given += 1;
        let (count, n_done, n_tasks) = (known.n_given, known.n_done, known.tasks.len());
        if n_tasks > TASKS_MAX {
            self.run_until(Position { stream, count: n_done + 1 });
        }
        Position { stream, count }
    }

    /// Lets what a stream is given from now on come after a place in another one.
    pub(crate) fn wait_for(&mut self, stream: u64, position: Position) {
        if self.is_pending(position) {
            self.push(stream, Task::After(position));
        }
    }

    /// Lets a stream note the time in an event once it comes there.
    pub(crate) fn record(&mut self, stream: u64, event: u64) -> Option<Position> {
        self.order_with_default(stream);
        let count = self.end_of(stream)?.count + 1;
        let position = Position { stream, count };
        Some(self.push(stream, Task::Record { event, position }))
    }

    /// Carries out a stream's work up to a place, and what it has to come after.
    pub(crate) fn run_until(&mut self, position: Position) {
        while self.is_pending(position) && self.run_one(position.stream) {}
    }

    /// Carries out a stream's next task; false where there is none.
    fn run_one(&mut self, stream: u64) -> bool {
        let next = self.streams.get_mut(&stream).and_then(|known| known.tasks.pop_front());
        let Some(task) = next else { return false };
        match task {
            Task::Work(work) if self.error == SUCCESS => {
                let status = self.carry_out(&work);
                if status != SUCCESS && self.error == SUCCESS {
                    self.error = status;
                }
            }
            // After an error nothing runs any more.
            Task::Work(_) => {}
            Task::After(position) => self.run_until(position),
            Task::Record { event, position } => {
                if let Some(event) = self.events.get_mut(&event)
                    && event.position == Some(position)
                {
                    event.recorded = Some(Instant::now());
                }
            }
        }
        if let Some(known) = self.streams.get_mut(&stream) {
            known.n_done += 1;
        }
        true
    }

    /// Carries out everything that a stream was given.
    pub(crate) fn drain(&mut self, stream: u64) {
        if let Some(end) = self.end_of(stream) {
            self.run_until(end);
        }
    }

    /// Carries out everything, the lowest stream first.
    pub(crate) fn drain_all(&mut self) {
        let mut streams: Vec<u64> = self.streams.keys().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            self.drain(stream);
        }
    }

    /// Whether work is done up to a place: each time that somebody asks, one more task is.
    pub(crate) fn query(&mut self, position: Position) -> i32 {
        if self.is_pending(position) {
            self.run_one(position.stream);
        }
        match self.is_pending(position) {
            true => NOT_READY,
            false => self.error,
        }
    }
}
