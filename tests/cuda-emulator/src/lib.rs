//! Runs CUDA kernels on a CPU and checks every access.
//!
//! The crate builds a stand-in for `libcuda.so` that interprets the PTX which NVRTC emits, and with its sibling one for
//! `libcublasLt.so`. A program that uses cudarc with dynamic loading runs on them unchanged. After [`Emulator::install`]:
//!
//! ```no_run
//! let emulator = cuda_emulator::Emulator::install().expect("cargo built the stand-ins beside this test");
//! // … cudarc: compile, load, launch, copy back …
//! assert_eq!(emulator.take_reports(), []);
//! ```
//!
//! What is emulated, what is checked and what is not is in the crate's README.

mod driver;
mod emulator;
mod isa;
mod lanes;
mod machine;
mod ptx;
mod report;

pub use emulator::{Emulator, InstallError, LIBRARIES, library_path};
pub use report::{Report, ReportKind};
