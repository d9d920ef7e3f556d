//! Work that goes into the device's stream again and again, as graphs of CUDA's: one call starts all of its launches.
//!
//! A capture goes through a stream of its own, so that what other threads put into the device's stream meanwhile is no part
//! of it, and scratch memory of captured work comes from a pool that nothing else uses: a launch of the graph writes there
//! whenever it comes. Not here: which work may be replayed, that is for its owner to know.

use super::memory::Pool;
use super::{Device, Fault};

use cudarc::driver::sys::{
    CUgraph, CUgraphExec, CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode,
};
use cudarc::driver::{CudaStream, DriverError, result};
use std::cell::Cell;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
    /// Why the first one failed that did.
    refused: OnceLock<String>,
}

impl Captures {
    pub(super) fn new(stream: Arc<CudaStream>) -> Self {
        Self { stream, pool: Pool::default(), alone: Mutex::default(), refused: OnceLock::new() }
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
    /// No graph could be made: there was no room beside the work itself, or the driver refused.
    Launched,
}

impl Replay {
    /// Puts the work into the device's stream. `work` does nothing but launches, products, clearing and copies within the
    /// device. On a device whose memory is watched nothing is captured. Where a capture fails, `work` is called a second time, and
    /// what it did the first time is not carried out; from then on it is launched, and [`Device::refused_capture`] says why.
    ///
    /// # Errors
    /// Those of the work, and [`Fault::Driver`] of a graph's launch.
    pub fn run(
        &mut self,
        device: &Device,
        mut work: impl FnMut() -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let State::Known = self.0
            && !device.is_watched()
        {
            self.0 = match device.capture(&mut work) {
                Ok(graph) => State::Captured(graph),
                Err(fault) => {
                    device.captures().refused.get_or_init(|| fault.to_string());
                    State::Launched
                }
            };
        }
        if let State::Captured(graph) = &mut self.0 {
            return graph.launch(device);
        }
        work()?;
        if let State::New = self.0 {
            self.0 = State::Known;
        }
        Ok(())
    }
}

/// A graph that can be launched.
struct Graph {
    executable: CUgraphExec,
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
        // SAFETY: made in `new` and destroyed once.
        let _ = unsafe { result::graph::exec_destroy(self.executable) };
    }
}

impl Graph {
    /// What was captured, made ready to be launched in `stream`.
    fn new(captured: CUgraph, stream: &Arc<CudaStream>) -> Result<Self, Fault> {
        // SAFETY: the captured graph is the caller's.
        let executable =
            unsafe { result::graph::instantiate(captured, CUgraphInstantiate_flags(0)) };
        let executable = executable.map_err(Fault::in_call("cuGraphInstantiateWithFlags"))?;
        Ok(Self { executable, stream: stream.clone() })
    }

    fn launch(&mut self, device: &Device) -> Result<(), Fault> {
        let stream = device.stream();
        stream.context().bind_to_thread().map_err(Fault::in_call("cuCtxSetCurrent"))?;
        // SAFETY: the graph is held alone, and what it works on lives as long as whoever replays it.
        let launched = unsafe { result::graph::launch(self.executable, stream.cu_stream()) };
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

    fn end(&mut self) -> Result<Captured, DriverError> {
        self.is_open = false;
        CAPTURED.set(None);
        // SAFETY: the stream lives, and this began its capture.
        let graph = unsafe { result::stream::end_capture(self.stream.cu_stream()) }?;
        match graph.is_null() {
            true => Err(DriverError(CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)),
            false => Ok(Captured(graph)),
        }
    }
}

impl Drop for Capturing<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // There is nobody to tell of an error.
            let _ = self.end();
        }
    }
}

/// What a capture gave; what is made of it does not need it any more.
struct Captured(CUgraph);

impl Drop for Captured {
    fn drop(&mut self) {
        // SAFETY: made by the end of a capture and destroyed once. There is nobody to tell of an error.
        let _ = unsafe { result::graph::destroy(self.0) };
    }
}

impl Device {
    /// Why work is launched that was to become a graph, if that has happened: the first time's reason.
    pub fn refused_capture(&self) -> Option<&str> {
        self.captures().refused.get().map(String::as_str)
    }

    /// Whether this thread captures work of this device.
    pub(super) fn is_capturing(&self) -> bool {
        CAPTURED.get() == Some(std::ptr::from_ref(self).addr())
    }

    /// What fails gives back the memory that it took.
    fn capture(&self, work: impl FnOnce() -> Result<(), Fault>) -> Result<Graph, Fault> {
        let captures = self.captures();
        let _alone = captures.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let graphs_have = captures.pool.blocks();
        let graph = self.capture_alone(work);
        if graph.is_err() {
            captures.pool.shrink_to(&graphs_have, self.stream());
        }
        graph
    }

    fn capture_alone(&self, work: impl FnOnce() -> Result<(), Fault>) -> Result<Graph, Fault> {
        let mut capturing = Capturing::begin(self)?;
        work()?;
        let captured = capturing.end().map_err(Fault::in_call("cuStreamEndCapture"))?;
        Graph::new(captured.0, self.stream())
    }
}
