//! A stand-in for libcublasLt.so: hands each call to the emulated driver.
//!
//! It is a library of its own because cudarc opens one of its own. It holds nothing: everything is computed by the
//! library that stands in for libcuda.so, on the memory that is there.

use std::ffi::c_void;

type Handle = *mut c_void;

/// `CUBLAS_STATUS_NOT_INITIALIZED`: the library that stands in for the driver is not there.
const NOT_INITIALIZED: i32 = 1;

/// The driver of this process, already open by the time that a product is asked for.
fn driver() -> Option<&'static libloading::Library> {
    static DRIVER: std::sync::OnceLock<Option<libloading::Library>> = std::sync::OnceLock::new();
    let open = || {
        // SAFETY: the stand-in runs no code when it is opened; a real driver's initialisation is made for this.
        unsafe { libloading::Library::new("libcuda.so") }.ok()
    };
    DRIVER.get_or_init(open).as_ref()
}

macro_rules! forward {
    ($(fn $name:ident, $target:literal, ($($argument:ident: $t:ty),*);)*) => {$(
        /// Hands the call on.
        ///
        /// # Safety
        ///
        /// As for the function of this name in cuBLASLt.
        #[allow(non_snake_case, reason = "the library's own name")]
        #[allow(clippy::too_many_arguments, reason = "the library's own signature")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $t),*) -> i32 {
            type Target = unsafe extern "C" fn($($t),*) -> i32;
            let Some(driver) = driver() else { return NOT_INITIALIZED };
            // SAFETY: the emulator exports the function with this signature; another library does not have the name.
            let Ok(target) = (unsafe { driver.get::<Target>($target) }) else { return NOT_INITIALIZED };
            // SAFETY: the caller vouches for the arguments.
            unsafe { target($($argument),*) }
        }
    )*};
}

forward! {
    fn cublasLtCreate, b"cuda_emulator_cublasLtCreate", (handle: Handle);
    fn cublasLtDestroy, b"cuda_emulator_cublasLtDestroy", (handle: Handle);
    fn cublasLtMatrixLayoutCreate, b"cuda_emulator_cublasLtMatrixLayoutCreate",
        (layout: Handle, ty: i32, rows: u64, cols: u64, ld: i64);
    fn cublasLtMatrixLayoutSetAttribute, b"cuda_emulator_cublasLtMatrixLayoutSetAttribute",
        (layout: Handle, attribute: i32, value: Handle, bytes: usize);
    fn cublasLtMatrixLayoutDestroy, b"cuda_emulator_cublasLtMatrixLayoutDestroy", (layout: Handle);
    fn cublasLtMatmulDescCreate, b"cuda_emulator_cublasLtMatmulDescCreate", (description: Handle, compute: i32, scale: i32);
    fn cublasLtMatmulDescSetAttribute, b"cuda_emulator_cublasLtMatmulDescSetAttribute",
        (description: Handle, attribute: i32, value: Handle, bytes: usize);
    fn cublasLtMatmulDescDestroy, b"cuda_emulator_cublasLtMatmulDescDestroy", (description: Handle);
    fn cublasLtMatmulPreferenceCreate, b"cuda_emulator_cublasLtMatmulPreferenceCreate", (preference: Handle);
    fn cublasLtMatmulPreferenceSetAttribute, b"cuda_emulator_cublasLtMatmulPreferenceSetAttribute",
        (preference: Handle, attribute: i32, value: Handle, bytes: usize);
    fn cublasLtMatmulPreferenceDestroy, b"cuda_emulator_cublasLtMatmulPreferenceDestroy", (preference: Handle);
    fn cublasLtMatmulAlgoGetHeuristic, b"cuda_emulator_cublasLtMatmulAlgoGetHeuristic",
        (handle: Handle, description: Handle, a: Handle, b: Handle, c: Handle, d: Handle, preference: Handle, wanted: i32,
         results: Handle, found: Handle);
    fn cublasLtMatmul, b"cuda_emulator_cublasLtMatmul",
        (handle: Handle, description: Handle, alpha: Handle, a: Handle, a_layout: Handle, b: Handle, b_layout: Handle,
         beta: Handle, c: Handle, c_layout: Handle, d: Handle, d_layout: Handle, algorithm: Handle, workspace: Handle,
         workspace_bytes: usize, stream: Handle);
}
