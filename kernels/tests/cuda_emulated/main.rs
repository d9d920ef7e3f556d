//! The operations on a device against the CPU's, where the device is emulated: the unchanged backend runs on a stand-in for
//! `libcuda` that interprets the PTX which NVRTC really emits.
//!
//! Needs NVRTC's library; what is missing is named on standard error, past the test harness's capture. What passes here is
//! emulated and compiled, not run on hardware: that is `tests/cuda`.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../cuda/agree.rs"]
mod agree;
mod device;
mod epilogues;
mod faults;
#[path = "../cuda/layers.rs"]
mod layers;
#[path = "../cuda/memory.rs"]
mod memory;
#[path = "../cuda/norms.rs"]
mod norms;
#[path = "../cuda/parity.rs"]
mod parity;
#[path = "../cuda/pass.rs"]
mod pass;
mod replays;
mod speed;
#[path = "../cuda/support.rs"]
mod support;
