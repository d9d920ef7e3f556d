//! Training and generation on a device, where the device is emulated: the same models and numbers that the CPU is held
//! against, and the CPU itself.
//!
//! The unchanged trainer runs on a stand-in for `libcuda` that interprets the PTX which NVRTC really emits and checks every
//! access. Needs NVRTC's library; what is missing is named on standard error. What passes here is emulated and compiled,
//! not run on hardware.

mod bench;
mod device;
#[path = "../trainer/families.rs"]
mod families;
mod generation;
mod models;
mod replays;
#[path = "../trainer/support.rs"]
mod support;
mod training;
