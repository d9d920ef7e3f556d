//! Initialisation, the device and its attributes, contexts, and the names of errors.

use std::ffi::{CStr, c_char};

use super::state::with;
use super::{
    CAPTURE_UNSUPPORTED, Handle, INVALID_DEVICE, INVALID_VALUE, SUCCESS, calls, put, put_bytes,
};

/// Shared memory that a block may have without asking, and at most (as on an H100).
pub(crate) const SHARED_BYTES: u32 = 48 << 10;
pub(crate) const SHARED_BYTES_MAX: u32 = 227 << 10;

/// What the context's handle is.
const CONTEXT: usize = 1;

thread_local! {
    static CURRENT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

calls! {
    fn cuInit(_flags: u32) { SUCCESS }
    fn cuDriverGetVersion(version: *mut i32) { put(version, with(|driver| driver.version)) }
    fn cuDeviceGetCount(count: *mut i32) { put(count, 1) }
    fn cuDeviceGet(device: *mut i32, ordinal: i32) {
        if ordinal == 0 { put(device, 0) } else { INVALID_DEVICE }
    }
    fn cuDeviceGetName(name: *mut c_char, room: i32, _device: i32) {
        let text = b"PTX emulator (CPU)\0";
        let n = text.len().min(usize::try_from(room).unwrap_or(0));
        put_bytes(name.cast(), &text[..n]);
        SUCCESS
    }
    fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], _device: i32) { put(uuid, *b"lossbox-emulator") }
    fn cuDeviceGetUuid(uuid: *mut [u8; 16], _device: i32) { put(uuid, *b"lossbox-emulator") }
    fn cuDeviceTotalMem_v2(bytes: *mut usize, _device: i32) { put(bytes, with(|driver| driver.memory_bytes)) }
    fn cuDeviceGetAttribute(value: *mut i32, attribute: i32, _device: i32) {
        put(value, attribute_value(attribute))
    }
    fn cuDevicePrimaryCtxRetain(context: *mut usize, _device: i32) { put(context, CONTEXT) }
    fn cuDevicePrimaryCtxRelease_v2(_device: i32) { SUCCESS }
    fn cuDevicePrimaryCtxSetFlags_v2(_device: i32, _flags: u32) { SUCCESS }
    fn cuCtxCreate_v4(context: *mut usize, _parameters: Handle, _flags: u32, _device: i32) {
        CURRENT.set(CONTEXT);
        put(context, CONTEXT)
    }
    fn cuCtxDestroy_v2(_context: usize) { SUCCESS }
    fn cuCtxSetCurrent(context: usize) {
        CURRENT.set(context);
        SUCCESS
    }
    fn cuCtxGetCurrent(context: *mut usize) { put(context, CURRENT.get()) }
    fn cuCtxGetDevice(device: *mut i32) { put(device, 0) }
    fn cuCtxSetFlags(_flags: u32) { SUCCESS }
    fn cuCtxSetLimit(_limit: u32, _value: usize) { SUCCESS }
    fn cuCtxGetLimit(value: *mut usize, _limit: u32) { put(value, 1 << 20) }
    fn cuCtxSetCacheConfig(_config: u32) { SUCCESS }
    fn cuCtxGetCacheConfig(config: *mut u32) { put(config, 0) }
    fn cuCtxGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) {
        put(least, 0);
        put(greatest, -5)
    }
    fn cuCtxSynchronize() {
        with(|driver| {
            if driver.is_capturing() {
                driver.spoil_all();
                return CAPTURE_UNSUPPORTED;
            }
            driver.drain_all();
            driver.error
        })
    }
    fn cuGetErrorName(error: i32, name: *mut *const c_char) { text_of(error, name, 0) }
    fn cuGetErrorString(error: i32, text: *mut *const c_char) { text_of(error, text, 1) }
    fn cuProfilerStart() { SUCCESS }
    fn cuProfilerStop() { SUCCESS }
}

/// `CUdevice_attribute` by number; those of an H100, where the emulator has no own answer.
fn attribute_value(attribute: i32) -> i32 {
    match attribute {
        1 => 1024,                // threads of a block
        2 | 3 => 1024,            // of a block, along x and y
        4 => 64,                  // along z
        5 => i32::MAX,            // blocks along x
        6 | 7 => 65535,           // along y and z
        8 => SHARED_BYTES as i32, // shared memory of a block
        9 => 64 << 10,            // constant memory
        10 => 32,                 // lanes of a warp
        12 => 65536,              // registers of a block
        13 => 1_980_000,          // clock, kHz
        16 => 132,                // multiprocessors
        36 => 2_619_000,          // memory clock, kHz
        37 => 5120,               // memory bus, bits
        38 => 50 << 20,           // L2, bytes
        39 => 2048,               // threads of a multiprocessor
        41 => 1,                  // unified addressing
        75 => with(|driver| driver.capability.0),
        76 => with(|driver| driver.capability.1),
        81 => 228 << 10,               // shared memory of a multiprocessor
        82 => 65536,                   // registers of a multiprocessor
        97 => SHARED_BYTES_MAX as i32, // shared memory of a block that asks for it
        106 => 32,                     // blocks of a multiprocessor
        111 => 1 << 10,                // shared memory that the driver reserves for each block
        115 => 1,                      // memory pools
        _ => 0,
    }
}

fn text_of(error: i32, to: *mut *const c_char, which: usize) -> i32 {
    let texts: [&CStr; 2] = match error {
        0 => [c"CUDA_SUCCESS", c"no error"],
        1 => [c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"],
        2 => [c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"],
        101 => [c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal"],
        218 => [c"CUDA_ERROR_INVALID_PTX", c"a PTX JIT compilation failed"],
        400 => [c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle"],
        500 => [c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"],
        600 => [c"CUDA_ERROR_NOT_READY", c"device not ready"],
        700 => [
            c"CUDA_ERROR_ILLEGAL_ADDRESS",
            c"an illegal memory access was encountered (emulated: see the reports)",
        ],
        701 => [
            c"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
            c"too many resources requested for launch",
        ],
        716 => [
            c"CUDA_ERROR_MISALIGNED_ADDRESS",
            c"misaligned address (emulated: see the reports)",
        ],
        719 => [
            c"CUDA_ERROR_LAUNCH_FAILED",
            c"unspecified launch failure (emulated: see the reports)",
        ],
        712 => [
            c"CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
            c"part or all of the requested memory range is already mapped",
        ],
        713 => [
            c"CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
            c"pointer does not correspond to a registered memory region",
        ],
        800 => [c"CUDA_ERROR_NOT_PERMITTED", c"operation not permitted"],
        801 => [
            c"CUDA_ERROR_NOT_SUPPORTED",
            c"operation not supported (emulated: see the reports)",
        ],
        900 => [
            c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
            c"operation not permitted when stream is capturing",
        ],
        901 => [
            c"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
            c"operation failed due to a previous error during capture",
        ],
        903 => [
            c"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
            c"the capture was not initiated in this stream",
        ],
        904 => [
            c"CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
            c"capturing stream has unjoined work",
        ],
        906 => [
            c"CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
            c"operation would make the legacy stream depend on a capturing blocking stream",
        ],
        907 => [
            c"CUDA_ERROR_CAPTURED_EVENT",
            c"operation not permitted on an event last recorded in a capturing stream",
        ],
        908 => [
            c"CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
            c"attempt to terminate a thread-local capture sequence from another thread",
        ],
        910 => [
            c"CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE",
            c"the graph update was not performed because it included changes which violated constraints specific to instantiated graph update",
        ],
        905 => [
            c"CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
            c"dependency created on uncaptured work in another stream",
        ],
        _ => return INVALID_VALUE,
    };
    put(to, texts[which].as_ptr())
}
