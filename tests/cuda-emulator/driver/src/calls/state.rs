//! The driver's state.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::capture::Capture;
use super::graphs::{Executable, Node};
use super::host::Pinned;
use super::queue::{LEGACY, PER_THREAD, Position, Stream};
use super::{INVALID_VALUE, SUCCESS};
use crate::machine::GlobalMemory;
use crate::ptx::{Kernel, Module};
use crate::report::{Report, ReportKind};

pub(crate) use super::work::Work;

/// Of the emulated device unless it is set otherwise, in bytes.
const MEMORY_BYTES: usize = 16 << 30;

/// Warp instructions after which a block is taken not to end, unless it is set otherwise.
const STEPS_MAX: u64 = 1 << 32;

/// A mistake that a test wants in launches, to see whether it is noticed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tampering {
    SwapArguments(usize, usize),
    /// By so many blocks along an axis; none is left where there was one.
    AddBlocks(usize, i32),
    /// One warp less; none is left where there was one.
    DropWarp,
    /// Four bytes less of dynamic shared memory.
    DropShared,
}

/// A kernel of a loaded module.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) module: Arc<Module>,
    pub(crate) name: String,
    /// How much dynamic shared memory a launch may ask for.
    pub(crate) dynamic_shared_max: u32,
}

impl Function {
    /// The kernel; it was found when the function was made.
    pub(crate) fn kernel(&self) -> Option<&Kernel> {
        self.module.kernels.get(&self.name)?.as_ref().ok()
    }
}

/// An event.
#[derive(Default, Clone)]
pub(crate) struct Event {
    /// Where it was recorded.
    pub(crate) position: Option<Position>,
    /// When its stream came there.
    pub(crate) recorded: Option<Instant>,
    /// The capture in which it was recorded, and the nodes that it stands after.
    pub(crate) captured: Option<(u64, Vec<usize>)>,
}

/// Everything behind the interface.
pub(crate) struct Driver {
    pub(crate) memory: GlobalMemory,
    pub(crate) memory_bytes: usize,
    pub(crate) modules: HashMap<u64, Arc<Module>>,
    pub(crate) functions: HashMap<u64, Function>,
    pub(crate) streams: HashMap<u64, Stream>,
    pub(crate) events: HashMap<u64, Event>,
    pub(crate) captures: HashMap<u64, Capture>,
    pub(crate) graphs: HashMap<u64, Vec<Node>>,
    pub(crate) executables: HashMap<u64, Executable>,
    pub(crate) pinned: Pinned,
    /// Buffers that a stream will free.
    pub(crate) freeing: HashSet<u64>,
    pub(crate) reports: Vec<Report>,
    /// cuBLASLt finds no algorithm with an epilogue.
    pub(crate) refuses_epilogues: bool,
    /// The first error since the reports were last taken.
    pub(crate) error: i32,
    pub(crate) n_instructions: u64,
    pub(crate) n_graph_launches: u64,
    /// Kernels that were launched since they were last asked for.
    pub(crate) launched: BTreeSet<String>,
    pub(crate) capability: (i32, i32),
    pub(crate) version: i32,
    pub(crate) steps_max: u64,
    /// Modules that are loaded in the place of others, by the others' text.
    pub(crate) substitutes: HashMap<String, String>,
    /// Calls that are to fail once, with their errors.
    pub(crate) failures: Vec<(String, i32)>,
    /// What launches of this kernel get wrong.
    pub(crate) tampering: Option<(String, Tampering)>,
    pub(crate) instance: u32,
    handles: u64,
}

/// The one driver of the process.
static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

/// Access to the driver; made when it is first asked for.
pub(crate) fn with<R>(f: impl FnOnce(&mut Driver) -> R) -> R {
    let mut guard: MutexGuard<Option<Driver>> =
        DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    f(guard.get_or_insert_with(Driver::new))
}

/// The error with which a test wants this call of a function to fail.
pub(crate) fn wanted_failure(exported: &str) -> Option<i32> {
    let call = exported.trim_start_matches("cuda_emulator_");
    with(|driver| {
        let place = driver.failures.iter().position(|(wanted, _)| wanted == call)?;
        Some(driver.failures.remove(place).1)
    })
}

impl Driver {
    fn new() -> Self {
        Self {
            memory: GlobalMemory::new(),
            memory_bytes: MEMORY_BYTES,
            modules: HashMap::new(),
            functions: HashMap::new(),
            streams: HashMap::from([(LEGACY, Stream::new(false)), (PER_THREAD, Stream::new(true))]),
            events: HashMap::new(),
            captures: HashMap::new(),
            graphs: HashMap::new(),
            executables: HashMap::new(),
            pinned: Pinned::default(),
            freeing: HashSet::new(),
            reports: Vec::new(),
            refuses_epilogues: false,
            error: SUCCESS,
            n_instructions: 0,
            n_graph_launches: 0,
            launched: BTreeSet::new(),
            capability: (9, 0),
            version: 13000,
            steps_max: STEPS_MAX,
            substitutes: HashMap::new(),
            failures: Vec::new(),
            tampering: None,
            instance: 0,
            handles: 0x1000,
        }
    }

    /// A new handle's number.
    pub(crate) fn handle(&mut self) -> u64 {
        self.handles += 0x10;
        self.handles
    }

    /// Notes findings; the first decides the error that comes out later.
    pub(crate) fn note(&mut self, reports: Vec<Report>) {
        for report in reports {
            if self.error == SUCCESS {
                self.error = report.kind.error();
            }
            self.reports.push(report);
        }
    }

    /// Reports a host's call with memory that is nobody's.
    pub(crate) fn refuse(
        &mut self,
        call: &str,
        (buffer, offset, detail): (String, i64, String),
    ) -> i32 {
        self.reports.push(host_report(ReportKind::OutOfBounds, call, buffer, offset, detail));
        INVALID_VALUE
    }
}

/// A finding about a call of the host.
pub(crate) fn host_report(
    kind: ReportKind,
    call: &str,
    buffer: String,
    offset: i64,
    detail: String,
) -> Report {
    Report {
        kind,
        kernel: call.to_owned(),
        line: 0,
        instruction: String::new(),
        block: [0; 3],
        thread: [0; 3],
        buffer,
        offset,
        detail,
    }
}
