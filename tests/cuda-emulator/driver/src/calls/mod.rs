//! The driver's interface over the machine: what `libcuda.so` exports, as far as it is emulated.
//!
//! Work is carried out when somebody waits for it, in the order of its stream. An error that a launch causes comes out at
//! the next synchronisation, as a card's does, and stays until the reports are taken.

mod capture;
mod context;
mod control;
mod epilogues;
mod graphs;
mod host;
mod memory;
mod modules;
mod products;
mod queue;
mod state;
mod streams;
mod work;

use std::ffi::c_void;

/// An opaque handle of the interface: a number of ours.
pub(crate) type Handle = *mut c_void;

/// `CUDA_SUCCESS`.
pub(crate) const SUCCESS: i32 = 0;
/// `CUDA_ERROR_INVALID_VALUE`.
pub(crate) const INVALID_VALUE: i32 = 1;
/// `CUDA_ERROR_OUT_OF_MEMORY`.
pub(crate) const OUT_OF_MEMORY: i32 = 2;
/// `CUDA_ERROR_INVALID_DEVICE`.
pub(crate) const INVALID_DEVICE: i32 = 101;
/// `CUDA_ERROR_INVALID_PTX`.
pub(crate) const INVALID_PTX: i32 = 218;
/// `CUDA_ERROR_INVALID_HANDLE`.
pub(crate) const INVALID_HANDLE: i32 = 400;
/// `CUDA_ERROR_NOT_FOUND`.
pub(crate) const NOT_FOUND: i32 = 500;
/// `CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES`.
pub(crate) const OUT_OF_RESOURCES: i32 = 701;
/// `CUDA_ERROR_NOT_READY`.
pub(crate) const NOT_READY: i32 = 600;
/// `CUDA_ERROR_NOT_PERMITTED`.
pub(crate) const NOT_PERMITTED: i32 = 800;
/// `CUDA_ERROR_NOT_SUPPORTED`.
pub(crate) const NOT_SUPPORTED: i32 = 801;
/// `CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED`.
pub(crate) const CAPTURE_UNSUPPORTED: i32 = 900;
/// `CUDA_ERROR_STREAM_CAPTURE_INVALIDATED`.
pub(crate) const CAPTURE_INVALIDATED: i32 = 901;
/// `CUDA_ERROR_STREAM_CAPTURE_UNMATCHED`.
pub(crate) const CAPTURE_UNMATCHED: i32 = 903;
/// `CUDA_ERROR_STREAM_CAPTURE_ISOLATION`.
pub(crate) const CAPTURE_ISOLATION: i32 = 905;
/// `CUDA_ERROR_STREAM_CAPTURE_UNJOINED`.
pub(crate) const CAPTURE_UNJOINED: i32 = 904;
/// `CUDA_ERROR_STREAM_CAPTURE_IMPLICIT`.
pub(crate) const CAPTURE_IMPLICIT: i32 = 906;
/// `CUDA_ERROR_CAPTURED_EVENT`.
pub(crate) const CAPTURED_EVENT: i32 = 907;
/// `CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD`.
pub(crate) const CAPTURE_WRONG_THREAD: i32 = 908;
/// `CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE`.
pub(crate) const UPDATE_FAILURE: i32 = 910;

thread_local! {
    /// Whether a function that the program put into a stream is running on this thread.
    static IN_HOST_CALL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn is_in_host_call() -> bool {
    IN_HOST_CALL.get()
}

/// Calls a function that the program put into a stream. CUDA forbids it to call the driver, and so does this.
fn in_host_call(f: impl FnOnce()) {
    IN_HOST_CALL.set(true);
    f();
    IN_HOST_CALL.set(false);
}

/// Functions of the interface, exported under their names. They are not `unsafe` to write, as all pointers go through
/// [`put`] and [`get`].
macro_rules! calls {
    ($($(#[$note:meta])* fn $name:ident($($argument:ident: $t:ty),* $(,)?) $body:block)*) => {$(
        $(#[$note])*
        #[allow(non_snake_case, reason = "the driver's own name")]
        #[allow(clippy::too_many_arguments, reason = "the driver's own signature")]
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name($($argument: $t),*) -> i32 {
            if $crate::calls::is_in_host_call() {
                return $crate::calls::NOT_PERMITTED;
            }
            if let Some(error) = $crate::calls::state::wanted_failure(stringify!($name)) {
                return error;
            }
            $body
        }
    )*};
}
use calls;

/// Writes a result where the caller wants it.
fn put<T>(to: *mut T, value: T) -> i32 {
    if to.is_null() {
        return INVALID_VALUE;
    }
    // SAFETY: the interface asks callers for a pointer to room for this value; null was refused.
    unsafe { to.write_unaligned(value) };
    SUCCESS
}

/// Reads a value that the caller points to.
fn get<T: Copy>(from: *const T) -> Option<T> {
    // SAFETY: the interface asks callers for a pointer to such a value; null is refused.
    (!from.is_null()).then(|| unsafe { from.read_unaligned() })
}

/// Bytes that the caller points to.
fn get_bytes(from: *const u8, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    if n > 0 && !from.is_null() {
        // SAFETY: the interface asks callers for a pointer to as many bytes; `bytes` has room for them.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), n) };
    }
    bytes
}

/// Writes bytes where the caller wants them.
fn put_bytes(to: *mut u8, bytes: &[u8]) {
    if !bytes.is_empty() && !to.is_null() {
        // SAFETY: the interface asks callers for a pointer to room for as many bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }
}

/// A text that the caller points to.
fn get_text(from: *const std::ffi::c_char) -> Option<String> {
    if from.is_null() {
        return None;
    }
    // SAFETY: the interface asks callers for a text that ends with a zero byte; null was refused.
    let text = unsafe { std::ffi::CStr::from_ptr(from) };
    Some(text.to_string_lossy().into_owned())
}
