//! The machine: memory with its shadow, and blocks of warps that run decoded kernels.
//!
//! Blocks run one after another and, within one, warps in order from barrier to barrier: the same launch always takes the
//! same steps. What another order could do differently is what the race checker reports.

mod block;
mod collective;
mod global;
mod launch;
mod memory;
mod shadow;
mod warp;

pub(crate) use global::GlobalMemory;
pub(crate) use launch::{Grid, launch};

/// Where shared memory begins among generic addresses.
pub(crate) const SHARED_BASE: u64 = 1 << 60;

/// Where local memory begins among generic addresses.
pub(crate) const LOCAL_BASE: u64 = 1 << 61;

/// Size of either window.
pub(crate) const WINDOW_BYTES: u64 = 1 << 32;
