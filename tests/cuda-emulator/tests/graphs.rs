//! Capture into graphs: every kind of node, launched again and updated, and what a capture forbids.

#![allow(
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    reason = "a call that fails has failed the test; what cudarc asks for is what each test sets up"
)]

mod common;

use std::sync::Arc;

use common::{add, address, code, copy, device, kernel};
use cuda_emulator::ReportKind;
use cudarc::cublaslt::{result as lt, sys as lt_sys};
use cudarc::driver::{CudaGraph, CudaSlice, CudaStream, result, sys};
use sys::CUresult as Code;
use sys::CUstreamCaptureMode as Mode;

const GLOBAL: Mode = Mode::CU_STREAM_CAPTURE_MODE_GLOBAL;
const RELAXED: Mode = Mode::CU_STREAM_CAPTURE_MODE_RELAXED;

/// What a stream is given within `f`, as a graph.
fn captured(stream: &Arc<CudaStream>, f: impl FnOnce()) -> CudaGraph {
    stream.begin_capture(GLOBAL).unwrap();
    f();
    stream.end_capture(sys::CUgraphInstantiate_flags(0)).unwrap().unwrap()
}

/// The error with which a capture ends.
fn end(stream: &Arc<CudaStream>) -> Code {
    code(stream.end_capture(sys::CUgraphInstantiate_flags(0)))
}

/// y = x·x for a matrix [2, 2].
struct Square {
    handle: lt_sys::cublasLtHandle_t,
    layout: lt_sys::cublasLtMatrixLayout_t,
    description: lt_sys::cublasLtMatmulDesc_t,
    algorithm: lt_sys::cublasLtMatmulAlgo_t,
}

impl Square {
    fn new() -> Self {
        let number = lt_sys::cudaDataType::CUDA_R_32F;
        let handle = lt::create_handle().unwrap();
        let layout = lt::create_matrix_layout(number, 2, 2, 2).unwrap();
        let compute = lt_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let description = lt::create_matmul_desc(compute, number).unwrap();
        let preference = lt::create_matmul_pref().unwrap();
        let found = unsafe {
            lt::get_matmul_algo_heuristic(
                handle,
                description,
                layout,
                layout,
                layout,
                layout,
                preference,
            )
        };
        let algorithm = found.unwrap().algo;
        unsafe { lt::destroy_matmul_pref(preference) }.unwrap();
        Self { handle, layout, description, algorithm }
    }

    fn put(&self, stream: &Arc<CudaStream>, y: &CudaSlice<f32>, x: &CudaSlice<f32>) {
        let (alpha, beta) = (1.0_f32, 0.0_f32);
        let (x, y) = (address(stream, x), address(stream, y));
        unsafe {
            lt::matmul(
                self.handle,
                self.description,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                x as *const _,
                self.layout,
                x as *const _,
                self.layout,
                y as *const _,
                self.layout,
                y as *mut _,
                self.layout,
                &raw const self.algorithm,
                std::ptr::null_mut(),
                0,
                stream.cu_stream().cast(),
            )
        }
        .unwrap();
    }
}

impl Drop for Square {
    fn drop(&mut self) {
        unsafe {
            lt::destroy_matrix_layout(self.layout).unwrap();
            lt::destroy_matmul_desc(self.description).unwrap();
            lt::destroy_handle(self.handle).unwrap();
        }
    }
}

#[test]
fn a_graph_holds_kernels_fills_copies_and_products() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let kernel = kernel(&device.context, "add");
    let square = Square::new();
    let (from_host, to_host) =
        [(); 2].map(|()| unsafe { result::malloc_host(16, 0) }.unwrap().cast::<f32>()).into();
    let x = stream.alloc_zeros::<f32>(4).unwrap();
    let y = stream.alloc_zeros::<f32>(4).unwrap();
    let mut count = stream.alloc_zeros::<u32>(3).unwrap();
    let mut kept = stream.alloc_zeros::<u32>(3).unwrap();
    stream.synchronize().unwrap();
    let graph = captured(&stream, || unsafe {
        sys::cuMemcpyHtoDAsync_v2(address(&stream, &x), from_host.cast(), 16, stream.cu_stream())
            .result()
            .unwrap();
        square.put(&stream, &y, &x);
        sys::cuMemcpyDtoHAsync_v2(to_host.cast(), address(&stream, &y), 16, stream.cu_stream())
            .result()
            .unwrap();
        stream.memset_zeros(&mut count).unwrap();
        add(&stream, &kernel, &mut count, 7);
        stream.memcpy_dtod(&count, &mut kept).unwrap();
        add(&stream, &kernel, &mut count, 1);
    });
    graph.upload().unwrap();
    for scale in [1.0_f32, 3.0] {
        let numbers = [scale, 0.0, 2.0 * scale, scale];
        (0..4).for_each(|i| unsafe { from_host.add(i).write_volatile(numbers[i]) });
        graph.launch().unwrap();
        let early: Vec<f32> = (0..4).map(|i| unsafe { to_host.add(i).read_volatile() }).collect();
        assert!(early.iter().all(|number| number.is_nan()), "nobody has waited: {early:?}");
        stream.synchronize().unwrap();
        let result: Vec<f32> = (0..4).map(|i| unsafe { to_host.add(i).read_volatile() }).collect();
        // [[s, 2s], [0, s]]², in columns.
        assert_eq!(result, [1.0, 0.0, 4.0, 1.0].map(|number: f32| number * scale * scale));
        assert_eq!(stream.clone_dtoh(&kept).unwrap(), [7; 3]);
        assert_eq!(stream.clone_dtoh(&count).unwrap(), [8; 3]);
    }
    // The host's memory is the graph's until somebody has waited.
    graph.launch().unwrap();
    unsafe { from_host.write_volatile(9.0) };
    assert!(stream.synchronize().is_err());
    assert_eq!(device.emulator.take_reports()[0].kind, ReportKind::HostRace);
    for memory in [from_host, to_host] {
        unsafe { result::free_host(memory.cast()) }.unwrap();
    }
}

#[test]
fn an_executable_takes_over_a_graph_of_the_same_form() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let kernel = kernel(&device.context, "add");
    let mut values = stream.alloc_zeros::<u32>(2).unwrap();
    stream.synchronize().unwrap();
    let graph = captured(&stream, || add(&stream, &kernel, &mut values, 1));
    let larger = captured(&stream, || add(&stream, &kernel, &mut values, 10));
    let longer = captured(&stream, || (0..2).for_each(|_| add(&stream, &kernel, &mut values, 1)));
    let other = captured(&stream, || stream.memset_zeros(&mut values).unwrap());
    let update = |from: &CudaGraph| {
        let mut info: sys::CUgraphExecUpdateResultInfo = unsafe { std::mem::zeroed() };
        let status = unsafe {
            sys::cuGraphExecUpdate_v2(graph.cu_graph_exec(), from.cu_graph(), &raw mut info)
        };
        (status, info.result as u32)
    };
    let count = |graph: &CudaGraph| {
        let mut count = 0;
        unsafe { sys::cuGraphGetNodes(graph.cu_graph(), std::ptr::null_mut(), &raw mut count) }
            .result()
            .unwrap();
        count
    };
    assert_eq!([&graph, &longer].map(count), [1, 2]);
    graph.launch().unwrap();
    assert_eq!(update(&larger), (Code::CUDA_SUCCESS, 0));
    graph.launch().unwrap();
    assert_eq!(stream.clone_dtoh(&values).unwrap(), [11; 2]);
    let failure = Code::CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    assert_eq!(update(&longer), (failure, 2), "the topology");
    assert_eq!(update(&other), (failure, 3), "the kind of a node");
    graph.launch().unwrap();
    assert_eq!(stream.clone_dtoh(&values).unwrap(), [21; 2], "the refused ones changed nothing");
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn a_graph_has_memory_of_its_own() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let kernel = kernel(&device.context, "copy");
    let from = stream.clone_htod(&[4_u32; 8]).unwrap();
    let mut to = stream.alloc_zeros::<u32>(8).unwrap();
    let outside = stream.alloc_zeros::<u32>(8).unwrap();
    stream.synchronize().unwrap();
    let (free, _) = device.context.mem_get_info().unwrap();
    let graph = captured(&stream, || {
        let mut between = unsafe { stream.alloc::<u32>(8) }.unwrap();
        copy(&stream, &kernel, &mut between, &from);
        copy(&stream, &kernel, &mut to, &between);
        let refused =
            unsafe { sys::cuMemFreeAsync(address(&stream, &outside), stream.cu_stream()) };
        assert_eq!(refused, Code::CUDA_ERROR_INVALID_VALUE, "it is not the graph's");
    });
    for _ in 0..2 {
        stream.memset_zeros(&mut to).unwrap();
        graph.launch().unwrap();
        assert_eq!(stream.clone_dtoh(&to).unwrap(), [4; 8]);
        assert_eq!(device.context.mem_get_info().unwrap().0, free);
    }
    // What a graph does not free stays, and stands in the way of the next launch unless a flag says otherwise.
    for (flags, again) in [(0, Code::CUDA_ERROR_INVALID_VALUE), (1, Code::CUDA_SUCCESS)] {
        stream.begin_capture(GLOBAL).unwrap();
        let mut memory = 0;
        unsafe { sys::cuMemAllocAsync(&raw mut memory, 64, stream.cu_stream()) }.result().unwrap();
        unsafe { sys::cuMemsetD32Async(memory, 5, 16, stream.cu_stream()) }.result().unwrap();
        let graph = stream.end_capture(sys::CUgraphInstantiate_flags(flags)).unwrap().unwrap();
        graph.launch().unwrap();
        assert_eq!(code(graph.launch()), again);
        let mut host = [0_u32; 16];
        stream.synchronize().unwrap();
        unsafe { result::memcpy_dtoh_sync(&mut host, memory) }.unwrap();
        assert_eq!(host, [5; 16]);
        unsafe { sys::cuMemFreeAsync(memory, stream.cu_stream()) }.result().unwrap();
        stream.synchronize().unwrap();
    }
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn branches_that_nothing_orders_run_the_other_way_round() {
    let device = device();
    let (main, side) = (device.context.new_stream().unwrap(), device.context.new_stream().unwrap());
    let kernel = kernel(&device.context, "copy");
    for ordered in [true, false] {
        let from = main.clone_htod(&[6_u32; 2]).unwrap();
        let mut between = unsafe { main.alloc::<u32>(2) }.unwrap();
        let mut to = main.alloc_zeros::<u32>(2).unwrap();
        main.synchronize().unwrap();
        let graph = captured(&main, || {
            side.wait(&main.record_event(None).unwrap()).unwrap();
            copy(&main, &kernel, &mut between, &from);
            if ordered {
                side.wait(&main.record_event(None).unwrap()).unwrap();
            }
            copy(&side, &kernel, &mut to, &between);
            main.wait(&side.record_event(None).unwrap()).unwrap();
        });
        graph.launch().unwrap();
        let seen = main.clone_dtoh(&to);
        assert_eq!(seen.is_ok_and(|seen| seen == [6; 2]), ordered);
        let kinds: Vec<_> =
            device.emulator.take_reports().iter().map(|report| report.kind).collect();
        let expected: &[ReportKind] = if ordered { &[] } else { &[ReportKind::UninitialisedRead] };
        assert_eq!(kinds, expected);
    }
}

#[test]
fn a_capture_forbids_what_would_disturb_it() {
    let device = device();
    let (stream, other) =
        (device.context.new_stream().unwrap(), device.context.new_stream().unwrap());
    let context = &device.context;
    let event = context.new_event(None).unwrap();
    let before = other.record_event(None).unwrap();
    let mut address = 0;
    let unsupported = Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    type Call<'a> = Box<dyn FnMut() -> Code + 'a>;
    let calls: Vec<(&str, Code, Call)> = vec![
        (
            "an allocation",
            unsupported,
            Box::new(|| unsafe { sys::cuMemAlloc_v2(&raw mut address, 4) }),
        ),
        ("pinned memory", unsupported, Box::new(|| code(unsafe { result::malloc_host(4, 0) }))),
        ("a wait for the stream", unsupported, Box::new(|| code(stream.synchronize()))),
        (
            "a look at the stream",
            unsupported,
            Box::new(|| unsafe { sys::cuStreamQuery(stream.cu_stream()) }),
        ),
        ("a wait for another stream", unsupported, Box::new(|| code(other.synchronize()))),
        ("a wait for the device", unsupported, Box::new(|| code(context.synchronize()))),
        (
            "a look at any event",
            unsupported,
            Box::new(|| unsafe { sys::cuEventQuery(before.cu_event()) }),
        ),
        (
            "a copy that waits",
            unsupported,
            Box::new(|| code(unsafe { result::memcpy_dtoh_sync(&mut [0_u32], 0) })),
        ),
        (
            "a module",
            unsupported,
            Box::new(|| {
                code(context.load_module(cudarc::nvrtc::Ptx::from_src(
                    ".version 8.0\n.target sm_80\n.address_size 64\n",
                )))
            }),
        ),
        (
            "a wait for captured work",
            Code::CUDA_ERROR_CAPTURED_EVENT,
            Box::new(|| {
                event.record(&stream).unwrap();
                unsafe { sys::cuEventSynchronize(event.cu_event()) }
            }),
        ),
        (
            "work that was not captured",
            Code::CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
            Box::new(|| code(stream.wait(&before))),
        ),
    ];
    for (what, expected, mut call) in calls {
        stream.begin_capture(GLOBAL).unwrap();
        assert_eq!(call(), expected, "{what}");
        let spoilt = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_INVALIDATED;
        assert_eq!(stream.capture_status().unwrap(), spoilt, "{what}");
        let invalidated = Code::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        let fill = unsafe { sys::cuMemsetD8Async(0, 0, 0, stream.cu_stream()) };
        assert_eq!((fill, end(&stream)), (invalidated, invalidated), "{what}");
        stream.synchronize().unwrap();
    }
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn a_relaxed_capture_or_thread_allows_more() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let allocates = || {
        code(
            unsafe { result::malloc_host(4, 0) }.map(|memory| unsafe { result::free_host(memory) }),
        )
    };
    stream.begin_capture(RELAXED).unwrap();
    assert_eq!(allocates(), Code::CUDA_SUCCESS);
    assert_eq!(end(&stream), Code::CUDA_SUCCESS);
    stream.begin_capture(GLOBAL).unwrap();
    let mut mode = RELAXED;
    unsafe { sys::cuThreadExchangeStreamCaptureMode(&raw mut mode) }.result().unwrap();
    assert_eq!((mode, allocates()), (GLOBAL, Code::CUDA_SUCCESS));
    unsafe { sys::cuThreadExchangeStreamCaptureMode(&raw mut mode) }.result().unwrap();
    assert_eq!(mode, RELAXED);
    assert_eq!(end(&stream), Code::CUDA_SUCCESS);
    // Another thread is concerned by a global capture, not by one of its own thread.
    for (mode, expected) in [
        (GLOBAL, Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED),
        (Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, Code::CUDA_SUCCESS),
    ] {
        stream.begin_capture(mode).unwrap();
        assert_eq!(std::thread::scope(|scope| scope.spawn(allocates).join()).unwrap(), expected);
        assert_eq!(end(&stream) == Code::CUDA_SUCCESS, expected == Code::CUDA_SUCCESS);
    }
}

#[test]
fn a_capture_ends_where_it_began_and_with_all_its_work() {
    let device = device();
    let (main, side) = (device.context.new_stream().unwrap(), device.context.new_stream().unwrap());
    let mut values = main.alloc_zeros::<u32>(1).unwrap();
    main.synchronize().unwrap();
    main.begin_capture(GLOBAL).unwrap();
    side.wait(&main.record_event(None).unwrap()).unwrap();
    assert_eq!(end(&side), Code::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    side.memset_zeros(&mut values).unwrap();
    assert_eq!(end(&main), Code::CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    main.begin_capture(GLOBAL).unwrap();
    let elsewhere = std::thread::scope(|scope| scope.spawn(|| end(&main)).join()).unwrap();
    assert_eq!(elsewhere, Code::CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    assert_eq!(end(&main), Code::CUDA_SUCCESS);
    assert_eq!(end(&main), Code::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    let default = unsafe { sys::cuStreamBeginCapture_v2(std::ptr::null_mut(), GLOBAL) };
    assert_eq!(default, Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    // The default stream would have to wait for a blocking one.
    let mut blocking = std::ptr::null_mut();
    unsafe { sys::cuStreamCreate(&raw mut blocking, 0) }.result().unwrap();
    unsafe { sys::cuStreamBeginCapture_v2(blocking, RELAXED) }.result().unwrap();
    let fill = unsafe { sys::cuMemsetD8Async(address(&main, &values), 0, 4, std::ptr::null_mut()) };
    assert_eq!(fill, Code::CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    let mut graph = std::ptr::null_mut();
    let ended = unsafe { sys::cuStreamEndCapture(blocking, &raw mut graph) };
    assert_eq!((ended, graph.is_null()), (Code::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, true));
    unsafe { sys::cuStreamDestroy_v2(blocking) }.result().unwrap();
    assert_eq!(device.emulator.take_reports(), []);
}
