//! What tests of the driver's interface share: the device, a module with a kernel for each need, error codes.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    reason = "each test file uses a part of it; a call that fails has failed the test"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cuda_emulator::Emulator;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr, DriverError, LaunchConfig,
    PushKernelArg, sys,
};
use cudarc::nvrtc::Ptx;

static ALONE: Mutex<()> = Mutex::new(());

/// The emulator and its device, for one test at a time: reports and errors belong to the process.
pub(crate) struct Device {
    pub(crate) emulator: Emulator,
    pub(crate) context: Arc<CudaContext>,
    _alone: MutexGuard<'static, ()>,
}

/// Without cudarc's own events, which would tie captures to what came before and order streams that a test leaves unordered.
pub(crate) fn device() -> Device {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = Emulator::install().unwrap();
    emulator.take_reports();
    let context = CudaContext::new(0).unwrap();
    unsafe { context.disable_event_tracking() };
    Device { emulator, context, _alone: alone }
}

/// `add`: x[i] += by, for each of the launched threads.
const MODULE: &str = "
.version 8.8
.target sm_90a
.address_size 64
.visible .entry add(.param .u64 p, .param .u32 by)
{
    .reg .b64 x; .reg .b32 v, t, s;
    ld.param.u64 x, [p]; ld.param.u32 s, [by];
    mov.u32 t, %tid.x; mad.wide.u32 x, t, 4, x;
    ld.global.u32 v, [x]; add.u32 v, v, s; st.global.u32 [x], v;
    ret;
}
.visible .entry copy(.param .u64 to, .param .u64 from)
{
    .reg .b64 x, y; .reg .b32 v, t;
    ld.param.u64 x, [to]; ld.param.u64 y, [from];
    mov.u32 t, %tid.x; mad.wide.u32 x, t, 4, x; mad.wide.u32 y, t, 4, y;
    ld.global.u32 v, [y]; st.global.u32 [x], v;
    ret;
}
";

pub(crate) fn kernel(context: &Arc<CudaContext>, name: &str) -> CudaFunction {
    let module = context.load_module(Ptx::from_src(MODULE)).unwrap();
    module.load_function(name).unwrap()
}

/// One block of a thread per element.
pub(crate) fn threads(n: usize) -> LaunchConfig {
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (n as u32, 1, 1), shared_mem_bytes: 0 }
}

/// Puts `add` into a stream.
pub(crate) fn add(
    stream: &Arc<CudaStream>,
    add: &CudaFunction,
    values: &mut CudaSlice<u32>,
    by: u32,
) {
    let n = values.len();
    let mut launch = stream.launch_builder(add);
    launch.arg(values).arg(&by);
    unsafe { launch.launch(threads(n)) }.unwrap();
}

/// Puts `copy` into a stream.
pub(crate) fn copy(
    stream: &Arc<CudaStream>,
    copy: &CudaFunction,
    to: &mut CudaSlice<u32>,
    from: &CudaSlice<u32>,
) {
    let n = to.len();
    let mut launch = stream.launch_builder(copy);
    launch.arg(to).arg(from);
    unsafe { launch.launch(threads(n)) }.unwrap();
}

/// A buffer's address, without the events of cudarc.
pub(crate) fn address<T>(stream: &Arc<CudaStream>, values: &CudaSlice<T>) -> sys::CUdeviceptr {
    let (address, _sync) = values.device_ptr(stream);
    address
}

pub(crate) fn code<T>(result: Result<T, DriverError>) -> sys::CUresult {
    result.err().map_or(sys::CUresult::CUDA_SUCCESS, |error| error.0)
}
