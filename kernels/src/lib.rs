//! The arithmetic of a transformer.
//!
//! Each operation is a folder under `ops` with its maths and shapes, its implementation per device and
//! its tests. An operation is a pair of plain functions, forward and backward, over flat row-major `f32`
//! slices; outputs come first, then inputs, then the shape. Every sum has an order that does not depend on the number of
//! threads: element-wise work and reductions are cut into blocks of a fixed size, and products into tiles that leave
//! the sums alone. So the same inputs give the same bytes on one thread and on many. Work runs on rayon's ambient
//! pool: call from inside `ThreadPool::install` to choose it. Scratch stays with its thread (`scratch`), and work is halved
//! in place, so that a training step allocates nothing after the first. Each operation is a span of `tracing`, with the useful arithmetic as
//! `flop` where that is what counts; nobody listens unless asked to.
//!
//! An operation's `cuda` module is the same on a device, over memory that lies there; `cuda` opens one.
//!
//! This crate knows no transformer, no parameter names and no loss; on the CPU it allocates scratch only. It opens no
//! file but those of the kernels' cache, whose folder the caller names, and prints nothing. Shapes that do not fit each
//! other are programming errors and panic with both numbers.

mod blocks;
pub mod cuda;
mod elementary;
mod matrix;
mod ops;
mod scratch;
pub mod speed;
#[cfg(test)]
mod testing;
mod vector;

pub use ops::{
    activation, adamw, attention, bias, clip, completion, cuda_sources, decode, embedding, gated,
    kl, layernorm, logprob, matmul, residual, rmsnorm, rope, sample,
};

/// What an operation does with the former content of its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The output is replaced.
    Overwrite,
    /// The result is added to the output.
    Accumulate,
}
