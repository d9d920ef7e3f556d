//! Work that goes into the device's stream again and again, as graphs of CUDA's: one call starts all of its launches.
//!
//! A capture goes through a stream of its own, so that what other threads put into the device's stream meanwhile is no part
//! of it, and scratch memory of captured work comes from a pool that nothing else uses: a launch of the graph writes there
//! whenever it comes. Not here: which work may be replayed, that is for its owner to know.

use super::memory::Pool;
use super::{Device, Fault};

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode};
use cudarc::driver::{CudaGraph, CudaStream, DriverError, result};
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

thread_local! {
    /// The address of the device that this thread captures work of.
    static CAPTURED: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What a device captures with.
#[derive(Debug)]
pub(super) struct Captures {
    pub(super) stream: Arc<CudaStream>,
    pub(super) pool: Pool,
    /// One capture at a time.
    alone: Mutex<()>,
}

impl Captures {
    pub(super) fn new(stream: Arc<CudaStream>) -> Self {
        Self { stream, pool: Pool::default(), alone: Mutex::default() }
    }
}

/// Work that is carried out when it first comes, captured when it comes again, and replayed from then on.
///
/// Replayed work is the same launches on the same memory. Where an address, a size or a number that a launch takes from the
/// host changes, it is other work.
#[derive(Debug, Default)]
pub struct Replay(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    New,
    /// Kernels are loaded and products planned.
    Known,
    Captured(Graph),
}

impl Replay {
    /// Puts the work into the device's stream. `work` does nothing but launches, products, clearing and copies within the
    /// device. On a device whose memory is watched nothing is captured.
    ///
    /// # Errors
    /// Those of the work, and [`Fault::Driver`].
    pub fn run(
        &mut self,
        device: &Device,
        work: impl FnOnce() -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let State::Known = self.0
            && !device.is_watched()
        {
            self.0 = State::Captured(device.capture(work)?);
        } else if let State::New | State::Known = self.0 {
            work()?;
            self.0 = State::Known;
            return Ok(());
        }
        match &mut self.0 {
            State::Captured(graph) => graph.launch(device),
            State::New | State::Known => unreachable!("captured above"),
        }
    }
}

/// A graph that can be launched.
struct Graph {
    graph: CudaGraph,
    /// Where it is launched.
    stream: Arc<CudaStream>,
}

// SAFETY: a graph may be used from any thread, from one at a time; whoever launches it holds it alone.
unsafe impl Send for Graph {}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Graph").finish_non_exhaustive()
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // A launch may still be under way. There is nobody to tell of an error.
        let _ = self.stream.synchronize();
    }
}

impl Graph {
    fn launch(&mut self, device: &Device) -> Result<(), Fault> {
        let stream = device.stream();
        stream.context().bind_to_thread().map_err(Fault::in_call("cuCtxSetCurrent"))?;
        // SAFETY: the graph is held alone, and what it works on lives as long as whoever replays it.
        let launched =
            unsafe { result::graph::launch(self.graph.cu_graph_exec(), stream.cu_stream()) };
        launched.map_err(Fault::in_call("cuGraphLaunch"))
    }
}

/// Ends the capture, however the work ends.
struct Capturing<'a> {
    stream: &'a Arc<CudaStream>,
    is_open: bool,
}

impl<'a> Capturing<'a> {
    fn begin(device: &'a Device) -> Result<Self, Fault> {
        let stream = &device.captures().stream;
        // Relaxed: scratch memory is allocated meanwhile, in the device's own stream.
        let begun = stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED);
        begun.map_err(Fault::in_call("cuStreamBeginCapture"))?;
        CAPTURED.set(Some(std::ptr::from_ref(device).addr()));
        Ok(Self { stream, is_open: true })
    }

    fn end(&mut self) -> Result<CudaGraph, DriverError> {
        self.is_open = false;
        CAPTURED.set(None);
        let graph = self.stream.end_capture(CUgraphInstantiate_flags(0))?;
        graph.ok_or(DriverError(CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED))
    }
}

impl Drop for Capturing<'_> {
    fn drop(&mut self) {
        if self.is_open {
            let _ = self.end();
        }
    }
}

impl Device {
    /// Whether this thread captures work of this device.
    pub(super) fn is_capturing(&self) -> bool {
        CAPTURED.get() == Some(std::ptr::from_ref(self).addr())
    }

    fn capture(&self, work: impl FnOnce() -> Result<(), Fault>) -> Result<Graph, Fault> {
        let _alone = self.captures().alone.lock().unwrap_or_else(PoisonError::into_inner);
        let mut capturing = Capturing::begin(self)?;
        work()?;
        let graph = capturing.end().map_err(Fault::in_call("cuStreamEndCapture"))?;
        Ok(Graph { graph, stream: self.stream().clone() })
    }
}
