//! The driver's state, and the work that streams carry out or graphs remember.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::products::Product;
use super::{CAPTURE_UNSUPPORTED, INVALID_HANDLE, INVALID_VALUE, SUCCESS};
use crate::machine::{GlobalMemory, Grid, launch};
use crate::ptx::{Kernel, Module};
use crate::report::{Report, ReportKind};

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

/// Something to do on a stream.
#[derive(Clone)]
pub(crate) enum Work {
    Launch {
        function: Function,
        grid: Grid,
        arguments: Vec<Vec<u8>>,
    },
    /// The host's memory is given by its address: a graph reads it each time it runs.
    HostToDevice {
        to: u64,
        from: usize,
        bytes: usize,
    },
    DeviceToHost {
        to: usize,
        from: u64,
        bytes: usize,
    },
    DeviceToDevice {
        to: u64,
        from: u64,
        bytes: usize,
    },
    /// `count` times `value`, little-endian.
    Fill {
        to: u64,
        value: Vec<u8>,
        count: usize,
    },
    Product(Product),
    HostCall {
        function: extern "C" fn(super::Handle),
        data: usize,
    },
}

/// A stream: only whether it is being captured.
#[derive(Default, Clone, Copy)]
pub(crate) struct Stream {
    /// The graph that its work goes to, and whether the capture began here.
    pub(crate) capture: Option<(u64, bool)>,
}

/// An event.
#[derive(Default, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) recorded: Option<Instant>,
    pub(crate) capture: Option<u64>,
}

/// Everything behind the interface.
pub(crate) struct Driver {
    pub(crate) memory: GlobalMemory,
    pub(crate) modules: HashMap<u64, Arc<Module>>,
    pub(crate) functions: HashMap<u64, Function>,
    pub(crate) streams: HashMap<u64, Stream>,
    pub(crate) events: HashMap<u64, Event>,
    pub(crate) graphs: HashMap<u64, Vec<Work>>,
    pub(crate) executables: HashMap<u64, Vec<Work>>,
    pub(crate) pinned: HashMap<usize, Box<[u128]>>,
    pub(crate) reports: Vec<Report>,
    /// The first error since the reports were last taken.
    pub(crate) error: i32,
    pub(crate) n_instructions: u64,
    pub(crate) capability: (i32, i32),
    instance: u32,
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

impl Driver {
    fn new() -> Self {
        Self {
            memory: GlobalMemory::new(),
            modules: HashMap::new(),
            functions: HashMap::new(),
            streams: HashMap::new(),
            events: HashMap::new(),
            graphs: HashMap::new(),
            executables: HashMap::new(),
            pinned: HashMap::new(),
            reports: Vec::new(),
            error: SUCCESS,
            n_instructions: 0,
            capability: (9, 0),
            instance: 0,
            handles: 0x1000,
        }
    }

    /// A new handle's number.
    pub(crate) fn handle(&mut self) -> u64 {
        self.handles += 0x10;
        self.handles
    }

    /// Whether any stream is being captured.
    pub(crate) fn is_capturing(&self) -> bool {
        self.streams.values().any(|stream| stream.capture.is_some())
    }

    /// Carries work out, or keeps it for the graph that its stream is captured into.
    pub(crate) fn submit(&mut self, stream: u64, work: Work) -> i32 {
        let Some(known) = self
            .streams
            .get(&stream)
            .copied()
            .or((stream <= 2).then(Stream::default))
        else {
            return INVALID_HANDLE;
        };
        if let Some((graph, _)) = known.capture {
            self.graphs.entry(graph).or_default().push(work);
            return SUCCESS;
        }
        if self.is_capturing() && stream == 0 {
            return CAPTURE_UNSUPPORTED;
        }
        if self.error != SUCCESS {
            return self.error;
        }
        self.carry_out(&work)
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

    /// Does work now. Memory that a copy asks for and nobody owns is refused at once.
    pub(crate) fn carry_out(&mut self, work: &Work) -> i32 {
        match work {
            Work::Launch {
                function,
                grid,
                arguments,
            } => {
                let Some(kernel) = function.kernel() else {
                    return INVALID_HANDLE;
                };
                let ran = launch(
                    kernel,
                    *grid,
                    arguments,
                    &mut self.memory,
                    &mut self.instance,
                );
                self.n_instructions += ran.1;
                self.note(ran.0);
                SUCCESS
            }
            Work::HostToDevice { to, from, bytes } => {
                let data = super::get_bytes(*from as *const u8, *bytes);
                self.write("a copy to the device", *to, &data)
            }
            Work::DeviceToHost { to, from, bytes } => match self.memory.place(*from, *bytes) {
                Ok(place) => {
                    let data = &place.bytes[place.start..place.start + bytes];
                    super::put_bytes(*to as *mut u8, data);
                    SUCCESS
                }
                Err(nobody) => self.refuse("a copy to the host", nobody),
            },
            Work::DeviceToDevice { to, from, bytes } => self.copy(*to, *from, *bytes),
            Work::Fill { to, value, count } => {
                let data = value.repeat(*count);
                self.write("a fill", *to, &data)
            }
            Work::Product(product) => self.product(product),
            Work::HostCall { function, data } => {
                function(*data as super::Handle);
                SUCCESS
            }
        }
    }

    fn write(&mut self, call: &str, to: u64, data: &[u8]) -> i32 {
        if data.is_empty() {
            return SUCCESS;
        }
        match self.memory.place(to, data.len()) {
            Ok(place) => {
                place.bytes[place.start..place.start + data.len()].copy_from_slice(data);
                place.shadow.set_written(place.start, data.len(), true);
                SUCCESS
            }
            Err(nobody) => self.refuse(call, nobody),
        }
    }

    /// Copies bytes together with which of them were written.
    fn copy(&mut self, to: u64, from: u64, bytes: usize) -> i32 {
        if bytes == 0 {
            return SUCCESS;
        }
        let (data, written) = match self.memory.place(from, bytes) {
            Ok(place) => {
                let data = place.bytes[place.start..place.start + bytes].to_vec();
                (data, place.shadow.written(place.start, bytes).to_vec())
            }
            Err(nobody) => return self.refuse("a copy on the device, reading", nobody),
        };
        match self.memory.place(to, bytes) {
            Ok(place) => {
                place.bytes[place.start..place.start + bytes].copy_from_slice(&data);
                place.shadow.copy_written(place.start, &written);
                SUCCESS
            }
            Err(nobody) => self.refuse("a copy on the device, writing", nobody),
        }
    }

    /// Reports a host's call with memory that is nobody's.
    pub(crate) fn refuse(
        &mut self,
        call: &str,
        (buffer, offset, detail): (String, i64, String),
    ) -> i32 {
        self.reports.push(host_report(
            ReportKind::OutOfBounds,
            call,
            buffer,
            offset,
            detail,
        ));
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
