//! Runs CUDA kernels on a CPU and checks every access.
//!
//! With it come a stand-in for `libcuda.so`, which interprets the PTX that NVRTC emits, and one for `libcublasLt.so`. A
//! program that uses cudarc with dynamic loading runs on them unchanged. After [`Emulator::install`]:
//!
//! ```no_run
//! let emulator = cuda_emulator::Emulator::install().expect("cargo built the stand-ins beside this test");
//! // … cudarc: compile, load, launch, copy back …
//! assert_eq!(emulator.take_reports(), []);
//! ```
//!
//! What is emulated, what is checked and what is not is in the crate's README.

mod alone;
mod emulator;

pub use alone::is_alone;
pub use cuda_stand_in::{Report, ReportKind};
pub use emulator::{Emulator, InstallError, LIBRARIES, Tampering, library_path};
