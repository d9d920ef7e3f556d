//! The driver's interface beyond a plain launch: memory and its limits, streams, events, graphs over several streams,
//! variables of a module, limits of a launch.

#![allow(
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    reason = "a call that fails has failed the test; what cudarc asks for is what each test sets up"
)]

use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cuda_emulator::{Emulator, ReportKind};
use cudarc::driver::{
    CudaContext, CudaFunction, DriverError, LaunchConfig, PushKernelArg, result, sys,
};
use cudarc::nvrtc::Ptx;

static ALONE: Mutex<()> = Mutex::new(());

fn device() -> (Emulator, Arc<CudaContext>, MutexGuard<'static, ()>) {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = Emulator::install().unwrap();
    emulator.take_reports();
    (emulator, CudaContext::new(0).unwrap(), alone)
}

const MODULE: &str = "
.version 8.8
.target sm_90a
.address_size 64
.global .align 4 .u32 scale = 3;
.const .align 4 .b8 table[8] = {1, 0, 0, 0, 200};
.extern .shared .align 16 .b8 dynamic[];
.visible .entry scaled(.param .u64 .ptr .align 4 p)
.maxntid 64, 1, 1
{
    .reg .b64 x; .reg .b32 v, s, t;
    ld.param.u64 x, [p]; mov.u32 t, %tid.x; mad.wide.u32 x, t, 4, x;
    ld.global.u32 v, [x]; ld.global.u32 s, [scale]; mul.lo.u32 v, v, s;
    ld.const.u8 s, [table+4]; add.u32 v, v, s;
    st.global.u32 [x], v;
    ret;
}
.visible .entry last_byte(.param .u32 at)
{
    .reg .b32 a, s;
    ld.param.u32 a, [at]; mov.u32 s, dynamic; add.u32 s, s, a; st.shared.u8 [s], 1;
    ret;
}
";

fn kernel(context: &Arc<CudaContext>, name: &str) -> CudaFunction {
    context.load_module(Ptx::from_src(MODULE)).unwrap().load_function(name).unwrap()
}

fn config(threads: u32, shared_mem_bytes: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes }
}

fn code<T>(result: Result<T, DriverError>) -> Option<sys::CUresult> {
    result.err().map(|error| error.0)
}

#[test]
fn a_device_says_what_it_is() {
    let (emulator, context, _alone) = device();
    assert_eq!(context.name().unwrap(), "PTX emulator (CPU)");
    assert_eq!(context.compute_capability().unwrap(), (9, 0));
    emulator.set_capability(8, 0);
    assert_eq!(context.compute_capability().unwrap(), (8, 0));
    emulator.set_capability(9, 0);
    let warp = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_WARP_SIZE;
    assert_eq!(context.attribute(warp).unwrap(), 32);
    let (free, total) = context.mem_get_info().unwrap();
    let kept = context.default_stream().alloc_zeros::<u8>(1 << 20).unwrap();
    assert_eq!(context.mem_get_info().unwrap(), (free - (1 << 20), total));
    drop(kept);
    // It is freed in the stream's turn.
    context.default_stream().synchronize().unwrap();
    assert_eq!(context.mem_get_info().unwrap(), (free, total));
    assert_eq!(code(CudaContext::new(1)), Some(sys::CUresult::CUDA_ERROR_INVALID_DEVICE));
}

#[test]
fn a_module_has_variables() {
    let (emulator, context, _alone) = device();
    let stream = context.default_stream();
    let mut values = stream.clone_htod(&[1_u32, 2, 5]).unwrap();
    let kernel = kernel(&context, "scaled");
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&mut values);
    unsafe { launch.launch(config(3, 0)) }.unwrap();
    assert_eq!(stream.clone_dtoh(&values).unwrap(), [203, 206, 215]);
    assert_eq!(emulator.take_reports(), []);
    let image = CString::new(MODULE).unwrap();
    let module = unsafe { result::module::load_data(image.as_ptr().cast()) }.unwrap();
    let (address, bytes) =
        unsafe { result::module::get_global(module, c"scale".to_owned()) }.unwrap();
    assert_eq!(bytes, 4);
    let mut scale = [0_u32];
    unsafe { result::memcpy_dtoh_sync(&mut scale, address) }.unwrap();
    assert_eq!(scale, [3]);
    unsafe { result::module::unload(module) }.unwrap();
}

#[test]
fn a_launch_keeps_to_its_limits() {
    let (emulator, context, _alone) = device();
    let stream = context.default_stream();
    let mut values = stream.alloc_zeros::<u32>(128).unwrap();
    let scaled = kernel(&context, "scaled");
    let mut launch = stream.launch_builder(&scaled);
    launch.arg(&mut values);
    let too_many = code(unsafe { launch.launch(config(65, 0)) });
    assert_eq!(too_many, Some(sys::CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES));
    let last_byte = kernel(&context, "last_byte");
    let run = |at: u32, bytes| {
        let mut launch = stream.launch_builder(&last_byte);
        launch.arg(&at);
        code(unsafe { launch.launch(config(1, bytes)) })
    };
    assert_eq!(run(0, 49152), None);
    assert_eq!(run(0, 49153), Some(sys::CUresult::CUDA_ERROR_INVALID_VALUE));
    let most = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    last_byte.set_attribute(most, 100_000).unwrap();
    assert_eq!(run(99_999, 100_000), None);
    stream.synchronize().unwrap();
    assert!(last_byte.set_attribute(most, 300_000).is_err());
    assert_eq!(run(100_000, 100_000), None);
    assert_eq!(code(stream.synchronize()), Some(sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS));
    let reports = emulator.take_reports();
    assert_eq!(
        (reports[0].kind, reports[0].buffer.as_str(), reports[0].offset),
        (ReportKind::OutOfBounds, "dynamic", 100_000)
    );
}

/// ptxas refuses what is declared beyond 48 KiB, in all kernels of a module together with the one that does it.
#[test]
fn a_module_that_declares_too_much_shared_memory_is_refused() {
    let (emulator, context, _alone) = device();
    let (free, _) = context.mem_get_info().unwrap();
    let load = |bytes: usize| {
        let greedy = format!(
            ".visible .entry greedy() {{ .shared .align 16 .b8 first[32768]; .shared .align 16 .b8 second[{bytes}]; ret; }}"
        );
        code(context.load_module(Ptx::from_src(format!("{MODULE}{greedy}"))))
    };
    assert_eq!(load(16384), None);
    assert_eq!(emulator.take_reports(), []);
    assert_eq!(load(16385), Some(sys::CUresult::CUDA_ERROR_INVALID_PTX));
    let reports = emulator.take_reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!((reports[0].kind, &*reports[0].kernel), (ReportKind::Unsupported, "greedy"));
    assert!(
        reports[0].detail.starts_with("49153 bytes of shared memory are declared"),
        "{}",
        reports[0]
    );
    // The variables of both modules are gone.
    assert_eq!(context.mem_get_info().unwrap().0, free);
}

#[test]
fn copies_are_checked_too() {
    let (emulator, context, _alone) = device();
    let stream = context.default_stream();
    let values = stream.alloc_zeros::<u32>(8).unwrap();
    let address = {
        use cudarc::driver::DevicePtr;
        let (address, _sync) = values.device_ptr(&stream);
        address
    };
    let mut long = [0_u32; 9];
    let refused = code(unsafe { result::memcpy_dtoh_sync(&mut long, address) });
    assert_eq!(refused, Some(sys::CUresult::CUDA_ERROR_INVALID_VALUE));
    drop(values);
    let mut short = [0_u32; 8];
    assert!(unsafe { result::memcpy_dtoh_sync(&mut short, address) }.is_err());
    let reports = emulator.take_reports();
    assert_eq!((reports.len(), reports[0].offset), (2, 0));
    assert!(reports[1].detail.contains("freed"), "{}", reports[1]);
}

#[test]
fn a_copy_on_the_device_takes_along_what_was_never_written() {
    let (emulator, context, _alone) = device();
    let stream = context.default_stream();
    let kernel = kernel(&context, "scaled");
    let empty = unsafe { stream.alloc::<u32>(4) }.unwrap();
    let mut copy = stream.alloc_zeros::<u32>(4).unwrap();
    stream.memcpy_dtod(&empty, &mut copy).unwrap();
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&mut copy);
    unsafe { launch.launch(config(4, 0)) }.unwrap();
    assert!(stream.synchronize().is_err());
    assert_eq!(emulator.take_reports()[0].kind, ReportKind::UninitialisedRead);
}

#[test]
fn pinned_memory_and_events() {
    let (_emulator, context, _alone) = device();
    let stream = context.new_stream().unwrap();
    let mut pinned = unsafe { context.alloc_pinned::<f32>(100) }.unwrap();
    pinned.as_mut_slice().unwrap().fill(2.5);
    let values = stream.clone_htod(&pinned).unwrap();
    assert_eq!(stream.clone_dtoh(&values).unwrap(), [2.5; 100]);
    let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
    let first = stream.record_event(flags).unwrap();
    let second = stream.record_event(flags).unwrap();
    assert!(first.elapsed_ms(&second).unwrap() >= 0.0);
}

#[test]
fn a_capture_follows_events_to_other_streams() {
    let (emulator, context, _alone) = device();
    unsafe { context.disable_event_tracking() };
    let (main, side) = (context.new_stream().unwrap(), context.new_stream().unwrap());
    let kernel = kernel(&context, "scaled");
    let mut values = main.clone_htod(&[1_u32, 2]).unwrap();
    main.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
    side.wait(&main.record_event(None).unwrap()).unwrap();
    let capturing = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE;
    assert_eq!(side.capture_status().unwrap(), capturing);
    for stream in [&side, &main] {
        main.wait(&side.record_event(None).unwrap()).unwrap();
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&mut values);
        unsafe { launch.launch(config(2, 0)) }.unwrap();
    }
    let graph = main.end_capture(sys::CUgraphInstantiate_flags(0)).unwrap().unwrap();
    assert_ne!(side.capture_status().unwrap(), capturing);
    graph.launch().unwrap();
    // (v · 3 + 200) · 3 + 200.
    assert_eq!(main.clone_dtoh(&values).unwrap(), [809, 818]);
    assert_eq!(emulator.take_reports(), []);
}
