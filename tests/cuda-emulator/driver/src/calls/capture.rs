//! Streams that are being captured: what their work becomes, and what may not be called meanwhile.
//!
//! A forbidden call answers with the error that CUDA's guide names and spoils the capture: from then on the captured streams
//! refuse work, and the end of the capture gives no graph.

use std::cell::Cell;
use std::collections::HashMap;
use std::thread::ThreadId;

use super::graphs::Node;
use super::state::{Driver, Work};
use super::{
    CAPTURE_INVALIDATED, CAPTURE_ISOLATION, CAPTURE_UNJOINED, CAPTURE_UNMATCHED,
    CAPTURE_UNSUPPORTED, CAPTURE_WRONG_THREAD, INVALID_HANDLE, INVALID_VALUE, SUCCESS,
};

/// `CU_STREAM_CAPTURE_MODE_GLOBAL`: calls that may be unsafe are forbidden to all threads.
const GLOBAL: u32 = 0;
/// `CU_STREAM_CAPTURE_MODE_RELAXED`: to none. Between the two, to the capturing thread.
const RELAXED: u32 = 2;

thread_local! {
    /// How this thread takes captures: as `cuThreadExchangeStreamCaptureMode` set it.
    static MODE: Cell<u32> = const { Cell::new(GLOBAL) };
}

/// Sets this thread's mode and gives the former one.
pub(crate) fn exchange_mode(mode: u32) -> u32 {
    MODE.replace(mode)
}

/// A capture under way.
pub(crate) struct Capture {
    origin: u64,
    mode: u32,
    thread: ThreadId,
    pub(crate) is_invalid: bool,
    nodes: Vec<Node>,
    /// For each stream that takes part, the nodes that its next one comes after.
    frontiers: HashMap<u64, Vec<usize>>,
    /// Memory that the graph allocates and does not free.
    allocated: Vec<u64>,
}

impl Capture {
    fn new(origin: u64, mode: u32) -> Self {
        Self {
            origin,
            mode,
            thread: std::thread::current().id(),
            is_invalid: false,
            nodes: Vec::new(),
            frontiers: HashMap::from([(origin, Vec::new())]),
            allocated: Vec::new(),
        }
    }

    /// Whether everything comes before the end of the stream in which the capture began.
    fn is_joined(&self) -> bool {
        let mut before = vec![false; self.nodes.len()];
        let mut open = self.frontiers.get(&self.origin).cloned().unwrap_or_default();
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut before[node], true) {
                open.extend(&self.nodes[node].after);
            }
        }
        before.iter().all(|is_before| *is_before)
    }
}

impl Driver {
    /// Whether any stream is being captured.
    pub(crate) fn is_capturing(&self) -> bool {
        !self.captures.is_empty()
    }

    /// `cuStreamBeginCapture`.
    pub(crate) fn begin_capture(&mut self, stream: u64, mode: u32) -> i32 {
        if stream == super::queue::LEGACY {
            return CAPTURE_UNSUPPORTED;
        }
        let handle = self.handle();
        let Some(known) = self.streams.get_mut(&stream) else {
            return INVALID_HANDLE;
        };
        if known.capture.is_some() || mode > RELAXED {
            return INVALID_VALUE;
        }
        known.capture = Some(handle);
        self.captures.insert(handle, Capture::new(stream, mode));
        SUCCESS
    }

    /// `cuStreamEndCapture`: the graph's handle.
    pub(crate) fn end_capture(&mut self, stream: u64) -> Result<u64, i32> {
        let known = self.streams.get(&stream).ok_or(INVALID_HANDLE)?;
        let handle = known.capture.ok_or(CAPTURE_UNMATCHED)?;
        let capture = self.captures.get(&handle).ok_or(INVALID_HANDLE)?;
        if capture.origin != stream {
            return Err(CAPTURE_UNMATCHED);
        }
        if capture.mode != RELAXED && capture.thread != std::thread::current().id() {
            return Err(CAPTURE_WRONG_THREAD);
        }
        for stream in self.streams.values_mut() {
            stream.capture = stream.capture.filter(|other| *other != handle);
        }
        for event in self.events.values_mut() {
            if event.captured.as_ref().is_some_and(|(other, _)| *other == handle) {
                *event = Default::default();
            }
        }
        let capture = self.captures.remove(&handle).ok_or(INVALID_HANDLE)?;
        if capture.is_invalid {
            return Err(CAPTURE_INVALIDATED);
        }
        if !capture.is_joined() {
            return Err(CAPTURE_UNJOINED);
        }
        self.graphs.insert(handle, capture.nodes);
        Ok(handle)
    }

    /// Keeps work for the graph.
    pub(crate) fn capture_work(&mut self, handle: u64, stream: u64, work: Work) -> i32 {
        let Some(capture) = self.captures.get_mut(&handle) else {
            return INVALID_HANDLE;
        };
        if capture.is_invalid {
            return CAPTURE_INVALIDATED;
        }
        match &work {
            Work::Allocate { address, .. } => capture.allocated.push(*address),
            // Only the graph's own memory can be freed by it.
            Work::Free { address } if !capture.allocated.contains(address) => return INVALID_VALUE,
            Work::Free { address } => capture.allocated.retain(|other| other != address),
            _ => {}
        }
        let frontier = capture.frontiers.entry(stream).or_default();
        let after = std::mem::replace(frontier, vec![capture.nodes.len()]);
        capture.nodes.push(Node { work, after });
        SUCCESS
    }

    /// Notes in an event where a captured stream stands.
    pub(crate) fn record_captured(&mut self, handle: u64, stream: u64, event: u64) -> i32 {
        let Some(capture) = self.captures.get(&handle) else {
            return INVALID_HANDLE;
        };
        if capture.is_invalid {
            return CAPTURE_INVALIDATED;
        }
        let frontier = capture.frontiers.get(&stream).cloned().unwrap_or_default();
        match self.events.get_mut(&event) {
            Some(event) => event.captured = Some((handle, frontier)),
            None => return INVALID_HANDLE,
        }
        SUCCESS
    }

    /// A stream waits for an event of a capture, or a captured stream for any event.
    pub(crate) fn wait_captured(&mut self, stream: u64, event: u64) -> i32 {
        let Some(event) = self.events.get(&event).cloned() else {
            return INVALID_HANDLE;
        };
        let own = self.streams.get(&stream).and_then(|stream| stream.capture);
        let (handle, frontier) = match (own, event.captured) {
            (Some(own), Some((other, _))) if own != other => {
                return self.spoil(own, CAPTURE_ISOLATION);
            }
            (Some(own), None) if event.position.is_some() => {
                return self.spoil(own, CAPTURE_ISOLATION);
            }
            // An event that was never recorded is waited for by nobody.
            (_, None) => return SUCCESS,
            (_, Some(captured)) => captured,
        };
        let Some(capture) = self.captures.get_mut(&handle) else {
            return INVALID_HANDLE;
        };
        if capture.is_invalid {
            return CAPTURE_INVALIDATED;
        }
        // A stream that waits for captured work is captured too.
        let own = capture.frontiers.entry(stream).or_default();
        own.extend(frontier);
        own.sort_unstable();
        own.dedup();
        if let Some(known) = self.streams.get_mut(&stream) {
            known.capture = Some(handle);
        }
        SUCCESS
    }

    /// Spoils a capture, and gives the error on.
    pub(crate) fn spoil(&mut self, handle: u64, error: i32) -> i32 {
        if let Some(capture) = self.captures.get_mut(&handle) {
            capture.is_invalid = true;
        }
        error
    }

    /// The default stream would wait for captured work in blocking streams: spoils those captures, true if there are any.
    pub(crate) fn invalidate_blocking_captures(&mut self) -> bool {
        let captures = self.blocking_captures();
        for handle in &captures {
            self.spoil(*handle, SUCCESS);
        }
        !captures.is_empty()
    }

    /// A call that may disturb a capture, such as an allocation. Where one forbids it to this thread, the error; the capture is
    /// spoilt.
    pub(crate) fn is_forbidden(&mut self) -> Option<i32> {
        let (mode, thread) = (MODE.get(), std::thread::current().id());
        let forbids = |capture: &Capture| match (mode, capture.thread == thread) {
            (RELAXED, _) => false,
            (_, true) => capture.mode != RELAXED,
            (GLOBAL, false) => capture.mode == GLOBAL,
            _ => false,
        };
        let mut is_forbidden = None;
        for capture in self.captures.values_mut().filter(|capture| forbids(capture)) {
            capture.is_invalid = true;
            is_forbidden = Some(CAPTURE_UNSUPPORTED);
        }
        is_forbidden
    }

    /// Spoils every capture: the call waits for the whole device.
    pub(crate) fn spoil_all(&mut self) {
        for capture in self.captures.values_mut() {
            capture.is_invalid = true;
        }
    }
}
