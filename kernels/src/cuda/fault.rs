//! What can fail on a device: the call, the kernel and the shape that failed, and the remedy.

use cudarc::cublaslt::result::CublasError;
use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaContext, DriverError};

/// A fault of the machine or of its set-up.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No libcuda.
    #[error(
        "no CUDA driver on this machine (libcuda is missing)\nhint: install NVIDIA's driver, or compute on the CPU"
    )]
    NoDriver,
    /// libcuda is there, or the toolkit's stub of it; a device is not.
    #[error(
        "the CUDA driver sees no device {ordinal} ({error})\nhint: see what `nvidia-smi` lists and whether \
         CUDA_VISIBLE_DEVICES hides it, or compute on the CPU"
    )]
    NoDevice {
        /// Which device was asked for, from 0.
        ordinal: usize,
        /// The driver's answer.
        error: DriverError,
    },
    /// The driver cannot read what the compiler writes.
    #[error(
        "the CUDA driver supports CUDA {}.{}, NVRTC writes for {}.{}\nhint: update the driver, or install an NVRTC \
         that is not newer than it",
        driver.0, driver.1, compiler.0, compiler.1
    )]
    OldDriver {
        /// The newest version that the driver supports, major and minor.
        driver: (i32, i32),
        /// NVRTC's version.
        compiler: (i32, i32),
    },
    /// The card has no bf16 and too small a shared memory.
    #[error(
        "{name} has compute capability {major}.{minor}, expected 8.0 or more\nhint: an Ampere card or a newer one"
    )]
    OldDevice {
        /// The card's name.
        name: String,
        /// Of its compute capability.
        major: i32,
        /// Of its compute capability.
        minor: i32,
    },
    /// No libnvrtc.
    #[error(
        "NVRTC is missing (libnvrtc.so)\nhint: `pip install nvidia-cuda-nvrtc==13.0.88` and put its nvidia/cu13/lib \
         into LD_LIBRARY_PATH, or install the CUDA toolkit"
    )]
    NoCompiler,
    /// No libcublasLt.
    #[error(
        "cuBLASLt is missing (libcublasLt.so)\nhint: `pip install nvidia-cublas==13.0.2.14` and put its nvidia/cu13/lib \
         into LD_LIBRARY_PATH, or install the CUDA toolkit"
    )]
    NoProducts,
    /// libcublasLt is there and does not start.
    #[error(
        "cuBLASLt does not start: {error:?}\nhint: a cuBLASLt of a CUDA version that the driver supports \
         (`nvidia-smi` names it), or a newer driver"
    )]
    Products {
        /// cuBLASLt's answer.
        error: CublasError,
    },
    /// The kernels have no room for a head.
    #[error(
        "heads of {head_dim} numbers are wider than the {head_dim_max} that CUDA kernels are written for\nhint: compute \
         on the CPU"
    )]
    WideHead {
        /// Numbers of a head.
        head_dim: usize,
        /// The widest that there is a kernel for.
        head_dim_max: usize,
    },
    /// A kernel's source does not compile: a mistake of ours or too old an NVRTC.
    #[error(
        "NVRTC {}.{} does not compile {file} for {target} ({real}) and says:\n{log}\nhint: NVRTC 13.0 \
         compiles it: `pip install nvidia-cuda-nvrtc==13.0.88`",
        version.0, version.1
    )]
    Compile {
        /// The source file.
        file: &'static str,
        /// The architecture.
        target: &'static str,
        /// The stored number.
        real: &'static str,
        /// NVRTC's version, major and minor.
        version: (i32, i32),
        /// What NVRTC said.
        log: String,
    },
    /// A compiled kernel is not loaded.
    #[error(
        "the CUDA driver does not load {file}, compiled for {target} ({real}): {error}{}",
        hint(error)
    )]
    Load {
        /// The source file.
        file: &'static str,
        /// The architecture.
        target: &'static str,
        /// The stored number.
        real: &'static str,
        /// The driver's answer.
        error: DriverError,
    },
    /// Memory on the device has run out.
    #[error(
        "the device has no room for {what}, {needed_bytes} bytes: {free_bytes} of {total_bytes} are free\nhint: smaller \
         batches, a smaller model, or a card that nothing else runs on"
    )]
    OutOfMemory {
        /// What needed it.
        what: String,
        /// How much it needed.
        needed_bytes: usize,
        /// Free on the device.
        free_bytes: usize,
        /// All of the device's memory.
        total_bytes: usize,
    },
    /// A kernel was not launched.
    #[error(
        "kernel {kernel} ({real}) with {blocks:?} blocks of {threads} threads and {shared_bytes} bytes of shared memory was not launched: \
         {error}{}",
        hint(error)
    )]
    Launch {
        /// The kernel.
        kernel: &'static str,
        /// The stored number.
        real: &'static str,
        /// Blocks in x and y.
        blocks: (u32, u32),
        /// Threads per block.
        threads: u32,
        /// Dynamic shared memory per block.
        shared_bytes: u32,
        /// The driver's answer.
        error: DriverError,
    },
    /// A matrix product was not started.
    #[error(
        "cublasLtMatmul of [{m}, {k}]·[{k}, {n}] ({real}) failed in {call}: {error:?}\nhint: if it is not supported, \
         widths that are multiples of 8 are"
    )]
    Product {
        /// Which of cuBLASLt's functions.
        call: &'static str,
        /// Rows of the result, in column-major terms.
        m: usize,
        /// Columns of the result.
        n: usize,
        /// Length of the sums.
        k: usize,
        /// The stored number.
        real: &'static str,
        /// cuBLASLt's answer.
        error: CublasError,
    },
    /// Any other call of the driver. An asynchronous error of an earlier kernel may come up here.
    #[error("{call} failed: {error}{}", hint(error))]
    Driver {
        /// Which call.
        call: &'static str,
        /// The driver's answer.
        error: DriverError,
    },
}

impl Fault {
    /// A driver's error in the call of this name, for use in `map_err`.
    pub(crate) fn in_call(call: &'static str) -> impl Fn(DriverError) -> Self {
        move |error| Self::Driver { call, error }
    }

    /// Whether something is not installed on this machine, or too old: a machine without a GPU to compute on, and no mistake.
    pub fn is_missing(&self) -> bool {
        use Fault::{NoCompiler, NoDevice, NoDriver, NoProducts, OldDevice, OldDriver};
        matches!(
            self,
            NoDriver
                | NoDevice { .. }
                | OldDriver { .. }
                | OldDevice { .. }
                | NoCompiler
                | NoProducts
        )
    }

    /// The fault of a device that cannot be opened.
    pub(crate) fn of_opening(ordinal: usize, error: DriverError) -> Self {
        match error.0 {
            CUresult::CUDA_ERROR_NO_DEVICE
            | CUresult::CUDA_ERROR_INVALID_DEVICE
            | CUresult::CUDA_ERROR_STUB_LIBRARY => Self::NoDevice { ordinal, error },
            _ => Self::Driver { call: "opening the device", error },
        }
    }

    /// Says what it is that there was no room for, for use in `map_err`.
    pub fn naming(what: &'static str) -> impl Fn(Self) -> Self {
        move |fault| match fault {
            Self::OutOfMemory { needed_bytes, free_bytes, total_bytes, .. } => {
                Self::OutOfMemory { what: what.to_owned(), needed_bytes, free_bytes, total_bytes }
            }
            other => other,
        }
    }

    /// The fault of an allocation that failed.
    pub(crate) fn of_allocation(
        context: &CudaContext,
        error: DriverError,
        needed_bytes: usize,
        what: &str,
    ) -> Self {
        if error.0 != CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            return Self::Driver { call: "cuMemAlloc", error };
        }
        let (free_bytes, total_bytes) = context.mem_get_info().unwrap_or((0, 0));
        let what = what.to_owned();
        Self::OutOfMemory { what, needed_bytes, free_bytes, total_bytes }
    }
}

/// What a person can do about the driver's commoner answers.
fn hint(error: &DriverError) -> &'static str {
    match error.0 {
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS => {
            "\nhint: a kernel left its memory, which is a mistake of ours: `compute-sanitizer` names it"
        }
        CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        | CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
        | CUresult::CUDA_ERROR_INVALID_PTX => "\nhint: update the driver",
        CUresult::CUDA_ERROR_SYSTEM_NOT_READY => {
            "\nhint: a service of the driver is not running: `nvidia-smi` says which, with NVSwitch the fabric manager"
        }
        CUresult::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE => {
            "\nhint: this card does not take CUDA's compatibility libraries: leave them out of LD_LIBRARY_PATH"
        }
        CUresult::CUDA_ERROR_UNKNOWN => "\nhint: see what `nvidia-smi` says, or compute on the CPU",
        CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => {
            "\nhint: the driver was updated under a running system: reboot"
        }
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
            "\nhint: smaller batches, a smaller model, or a card that nothing else runs on"
        }
        CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => {
            "\nhint: another program has the card for itself: `nvidia-smi` names it"
        }
        _ => "",
    }
}
