//! The kernels for CUDA held against a compiler and against the CPU.
//!
//! `compile` needs NVRTC's library and `ptxas`, no card. `parity` needs a card; `tests/cuda_emulated` runs the same without.
//! What is missing is named on standard error, past the test harness's capture.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod agree;
mod cache;
mod compile;
mod device;
mod instructions;
mod layers;
mod memory;
mod norms;
mod parity;
mod pass;
mod support;
