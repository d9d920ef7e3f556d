//! Streams run late: what a program does not wait for has not happened, and what the host does to memory that a copy still
//! uses is reported. Each checker has an example that it finds and one that it does not.

#![allow(
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    reason = "a call that fails has failed the test; what cudarc asks for is what each test sets up"
)]

mod common;

use std::sync::atomic::{AtomicI32, Ordering};

use common::{Device, add, address, code, copy, device, kernel};
use cuda_emulator::ReportKind;
use cudarc::driver::{result, sys};
use sys::CUresult as Code;

/// Pinned memory without cudarc's waits for it.
struct Pinned {
    start: *mut u32,
    len: usize,
}

impl Pinned {
    fn new(len: usize) -> Self {
        let start = unsafe { result::malloc_host(4 * len, 0) }.unwrap().cast();
        Self { start, len }
    }

    /// Read anew each time, as another would change it.
    fn get(&self) -> Vec<u32> {
        (0..self.len).map(|i| unsafe { self.start.add(i).read_volatile() }).collect()
    }

    fn set(&self, value: u32) {
        (0..self.len).for_each(|i| unsafe { self.start.add(i).write_volatile(value) });
    }

    fn free(self) {
        unsafe { result::free_host(self.start.cast()) }.unwrap();
    }
}

/// The kinds of reports, and what a report of the host's race says.
fn kinds(device: &Device) -> Vec<ReportKind> {
    device.emulator.take_reports().iter().map(|report| report.kind).collect()
}

#[test]
fn a_copy_to_pinned_memory_is_there_once_it_was_waited_for() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let values = stream.clone_htod(&[7_u32; 3]).unwrap();
    let pinned = Pinned::new(3);
    pinned.set(1);
    let from = address(&stream, &values);
    let begin =
        || unsafe { sys::cuMemcpyDtoHAsync_v2(pinned.start.cast(), from, 12, stream.cu_stream()) };
    assert_eq!(begin(), Code::CUDA_SUCCESS);
    assert_eq!(pinned.get(), [u32::MAX; 3], "neither the old bytes nor the new ones");
    stream.synchronize().unwrap();
    assert_eq!(pinned.get(), [7; 3]);
    // An event behind the copy does as well.
    pinned.set(1);
    assert_eq!(begin(), Code::CUDA_SUCCESS);
    stream.record_event(None).unwrap().synchronize().unwrap();
    assert_eq!(pinned.get(), [7; 3]);
    pinned.free();
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn the_host_leaves_pinned_memory_alone_until_the_copy_is_done() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let values = stream.alloc_zeros::<u32>(4).unwrap();
    let pinned = Pinned::new(4);
    pinned.set(5);
    let to = address(&stream, &values);
    let begin =
        || unsafe { sys::cuMemcpyHtoDAsync_v2(to, pinned.start.cast(), 16, stream.cu_stream()) };
    assert_eq!(begin(), Code::CUDA_SUCCESS);
    stream.synchronize().unwrap();
    pinned.set(6);
    assert_eq!(stream.clone_dtoh(&values).unwrap(), [5; 4]);
    assert_eq!(device.emulator.take_reports(), []);
    // Changed too early, whichever way the copy goes.
    assert_eq!(begin(), Code::CUDA_SUCCESS);
    unsafe { pinned.start.add(2).write_volatile(9) };
    assert_eq!(code(stream.synchronize()), Code::CUDA_ERROR_LAUNCH_FAILED);
    let reports = device.emulator.take_reports();
    assert_eq!((reports.len(), reports[0].kind, reports[0].offset), (1, ReportKind::HostRace, 8));
    unsafe { sys::cuMemcpyDtoHAsync_v2(pinned.start.cast(), to, 16, stream.cu_stream()) }
        .result()
        .unwrap();
    pinned.set(1);
    assert!(stream.synchronize().is_err());
    assert_eq!(kinds(&device), [ReportKind::HostRace]);
    // Freed too early.
    assert_eq!(begin(), Code::CUDA_SUCCESS);
    pinned.free();
    assert_eq!(kinds(&device), [ReportKind::HostRace]);
}

#[test]
fn memory_that_is_not_pinned_is_done_with_when_the_call_returns() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let kernel = kernel(&device.context, "add");
    let mut host = vec![1_u32, 2];
    let mut values = stream.clone_htod(&host).unwrap();
    host.fill(100);
    add(&stream, &kernel, &mut values, 1);
    stream.memcpy_dtoh(&values, &mut host).unwrap();
    assert_eq!(host, [2, 3]);
    // The program's own memory, pinned where it lies.
    let start: *mut std::ffi::c_void = host.as_mut_ptr().cast();
    unsafe { sys::cuMemHostRegister_v2(start, 8, 0) }.result().unwrap();
    assert!(unsafe { sys::cuMemHostRegister_v2(start, 8, 0) }.result().is_err());
    let from = address(&stream, &values);
    add(&stream, &kernel, &mut values, 1);
    unsafe { sys::cuMemcpyDtoHAsync_v2(start, from, 8, stream.cu_stream()) }.result().unwrap();
    assert_eq!(unsafe { start.cast::<u32>().read_volatile() }, u32::MAX);
    stream.synchronize().unwrap();
    assert_eq!(host, [3, 4]);
    unsafe { sys::cuMemHostUnregister(start) }.result().unwrap();
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn one_copy_may_follow_another_through_the_same_pinned_memory() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let (from, to) =
        (stream.clone_htod(&[3_u32; 2]).unwrap(), stream.alloc_zeros::<u32>(2).unwrap());
    let pinned = Pinned::new(2);
    let (from, to_address) = (address(&stream, &from), address(&stream, &to));
    unsafe {
        sys::cuMemcpyDtoHAsync_v2(pinned.start.cast(), from, 8, stream.cu_stream())
            .result()
            .unwrap();
        sys::cuMemcpyHtoDAsync_v2(to_address, pinned.start.cast(), 8, stream.cu_stream())
            .result()
            .unwrap();
    }
    assert_eq!(stream.clone_dtoh(&to).unwrap(), [3; 2]);
    pinned.free();
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn a_stream_that_does_not_wait_for_another_is_found() {
    let device = device();
    let (one, other) = (device.context.new_stream().unwrap(), device.context.new_stream().unwrap());
    let kernel = kernel(&device.context, "copy");
    for waits in [true, false] {
        let from = one.clone_htod(&[8_u32; 4]).unwrap();
        let mut between = unsafe { one.alloc::<u32>(4) }.unwrap();
        copy(&one, &kernel, &mut between, &from);
        if waits {
            other.wait(&one.record_event(None).unwrap()).unwrap();
        }
        let mut to = other.alloc_zeros::<u32>(4).unwrap();
        copy(&other, &kernel, &mut to, &between);
        let seen = other.clone_dtoh(&to);
        match waits {
            true => assert_eq!(seen.unwrap(), [8; 4]),
            false => assert_eq!(code(seen), Code::CUDA_ERROR_ILLEGAL_ADDRESS),
        }
        let expected: &[ReportKind] = if waits { &[] } else { &[ReportKind::UninitialisedRead] };
        assert_eq!(kinds(&device), expected);
        one.synchronize().unwrap();
    }
}

#[test]
fn the_default_stream_takes_turns_with_blocking_streams() {
    let device = device();
    let default = device.context.default_stream();
    let kernel = kernel(&device.context, "add");
    let mut values = default.clone_htod(&[1_u32]).unwrap();
    let mut blocking = std::ptr::null_mut();
    unsafe { sys::cuStreamCreate(&raw mut blocking, 0) }.result().unwrap();
    let fill =
        |value| unsafe { sys::cuMemsetD32Async(address(&default, &values), value, 1, blocking) };
    assert_eq!(fill(10), Code::CUDA_SUCCESS);
    add(&default, &kernel, &mut values, 1);
    let fill = |value| unsafe {
        sys::cuMemsetD32Async(address(&default, &values) + 4, value, 0, blocking)
    };
    assert_eq!(fill(0), Code::CUDA_SUCCESS);
    // Waiting for the blocking stream runs the default one before it.
    unsafe { sys::cuStreamSynchronize(blocking) }.result().unwrap();
    let mut host = [0_u32];
    unsafe { result::memcpy_dtoh_sync(&mut host, address(&default, &values)) }.unwrap();
    assert_eq!(host, [11]);
    unsafe { sys::cuStreamDestroy_v2(blocking) }.result().unwrap();
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn asking_whether_work_is_done_lets_it_go_on() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let kernel = kernel(&device.context, "add");
    let mut values = stream.alloc_zeros::<u32>(2).unwrap();
    stream.synchronize().unwrap();
    let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
    let first = stream.record_event(flags).unwrap();
    for _ in 0..3 {
        add(&stream, &kernel, &mut values, 1);
    }
    let second = stream.record_event(flags).unwrap();
    let mut ms = 0.0;
    let early =
        unsafe { sys::cuEventElapsedTime_v2(&raw mut ms, first.cu_event(), second.cu_event()) };
    assert_eq!(early, Code::CUDA_ERROR_NOT_READY);
    let answers: Vec<bool> = (0..6).map(|_| second.is_complete()).collect();
    assert_eq!(answers, [false, false, false, false, true, true]);
    assert!(first.elapsed_ms(&second).unwrap() >= 0.0);
    let never = device.context.new_event(flags).unwrap();
    assert!(never.is_complete(), "nobody waits for what was not recorded");
}

static SEEN: AtomicI32 = AtomicI32::new(-1);

extern "C" fn asks_the_driver(count: *mut std::ffi::c_void) {
    let mut version = 0;
    let answer = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    SEEN.store(answer as i32, Ordering::SeqCst);
    // SAFETY: the test hands over a counter that outlives the stream's work.
    unsafe { *count.cast::<u32>() += 1 };
}

#[test]
fn a_function_of_the_host_runs_in_its_turn_and_may_not_call_the_driver() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let mut count = 0_u32;
    let data: *mut u32 = &raw mut count;
    let put =
        unsafe { sys::cuLaunchHostFunc(stream.cu_stream(), Some(asks_the_driver), data.cast()) };
    assert_eq!(put, Code::CUDA_SUCCESS);
    assert_eq!(unsafe { data.read_volatile() }, 0);
    stream.synchronize().unwrap();
    assert_eq!(unsafe { data.read_volatile() }, 1);
    assert_eq!(SEEN.load(Ordering::SeqCst), Code::CUDA_ERROR_NOT_PERMITTED as i32);
}

#[test]
fn a_device_runs_out_of_memory() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let (free, _) = device.context.mem_get_info().unwrap();
    let total = 16 << 30;
    device.emulator.set_memory_bytes(total - free + 1000);
    let first = stream.alloc_zeros::<u8>(600).unwrap();
    let second = code(stream.alloc_zeros::<u8>(600));
    assert_eq!(second, Code::CUDA_ERROR_OUT_OF_MEMORY);
    assert_eq!(device.context.mem_get_info().unwrap(), (400, total - free + 1000));
    // What a stream will have freed by then can be had again.
    drop(first);
    let second = stream.alloc_zeros::<u8>(600).unwrap();
    drop(second);
    stream.synchronize().unwrap();
    device.emulator.set_memory_bytes(total);
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn a_pointer_may_lie_inside_of_an_allocation() {
    let device = device();
    let stream = device.context.new_stream().unwrap();
    let mut values = stream.clone_htod(&[1_u32, 2, 3, 4]).unwrap();
    let start = address(&stream, &values);
    let (mut base, mut bytes) = (0, 0);
    unsafe { sys::cuMemGetAddressRange_v2(&raw mut base, &raw mut bytes, start + 9) }
        .result()
        .unwrap();
    assert_eq!((base, bytes), (start, 16));
    stream.memcpy_htod(&[9_u32], &mut values.slice_mut(2..3)).unwrap();
    assert_eq!(stream.clone_dtoh(&values.slice(1..4)).unwrap(), [2, 9, 4]);
    // Only the start can be freed.
    assert!(unsafe { sys::cuMemFreeAsync(start + 4, stream.cu_stream()) }.result().is_err());
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn memory_is_freed_in_the_streams_turn() {
    let device = device();
    let (stream, other) =
        (device.context.new_stream().unwrap(), device.context.new_stream().unwrap());
    let kernel = kernel(&device.context, "add");
    let mut values = stream.clone_htod(&[1_u32; 2]).unwrap();
    let late = address(&stream, &values);
    add(&stream, &kernel, &mut values, 1);
    drop(values);
    stream.synchronize().unwrap();
    assert_eq!(device.emulator.take_reports(), []);
    // Another stream's use after it.
    let refused = unsafe { sys::cuMemsetD32Async(late, 0, 1, other.cu_stream()) };
    assert_eq!(refused, Code::CUDA_ERROR_INVALID_VALUE);
    let reports = device.emulator.take_reports();
    assert!(reports[0].detail.contains("freed"), "{}", reports[0]);
}
