//! A CUDA device: what opens it, compiles for it, holds memory on it and launches on it.
//!
//! An operation's launcher stands in its folder as `cuda.rs`, beside the `.cu` that it launches and the `cpu.rs` that it
//! agrees with. Everything runs on one stream, in the order of the calls; what comes again is captured and replayed there
//! ([`Replay`]). CUDA's libraries are looked for when a
//! [`Device`] is opened and not before: a process that asks for no GPU touches none of them.
//!
//! Numbers that index memory on the device ([`Ids`]) are checked when they are copied there, because nobody can look at
//! them later. Not here: a second device, a second stream.

mod bf16;
mod compiler;
mod device;
mod fault;
mod graph;
mod ids;
mod launch;
mod memory;
mod parcel;
mod products;
mod staging;

pub use bf16::{Bf16, Real};
pub use compiler::{Compiler, Source, Target};
pub use cudarc::driver::{CudaSlice as Buffer, CudaView as View, CudaViewMut as ViewMut};
pub use device::{Device, Observer};
pub use fault::Fault;
pub use graph::Replay;
pub use ids::Ids;
pub(crate) use launch::{
    CURVES, Launch, PARTIALS, ROW_BLOCKS, RowBlocks, add_partials, aligned, aligned_rows, count,
};
pub use memory::{Arena, Piece, Scratch};
pub use parcel::{Packer, Parcel};
pub use products::Refused;
pub(crate) use products::{Base, Epilogue, Operand, Product};
pub use staging::Staged;
