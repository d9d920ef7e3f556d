//! The stand-in for libcuda.so: what cudarc opens in the driver's place.
//!
//! Four storeys, each of which knows only those below: `calls` (the driver's and cuBLASLt's functions), `machine` (memory,
//! blocks, warps, checks), `isa` (what each instruction is and computes), `ptx` (the text). A program does not link this
//! crate; it opens the library through `lossbox-cuda-emulator`, which also says what is emulated and what is not.

mod calls;
mod isa;
mod lanes;
mod machine;
mod ptx;
mod report;

pub use report::{Report, ReportKind};
