//! The decoder on a CUDA device: the same blocks, layout and batches as on the CPU, over memory that lies there.
//!
//! Its operations are the launchers of `kernels`, in the order of `model::block`. What differs follows from the device:
//! any call can fail; weights have a copy in the stored number R where that is not `f32`; gradients of weights always add up
//! and are cleared when a pass begins; a residual connection is the start value of the product before it. Not here: the
//! step (`engine`).

mod activations;
mod batch;
mod block;
mod continuation;
mod decoder;
mod parts;
mod replays;
mod weights;

pub(crate) use continuation::Continuation;
pub(crate) use decoder::{Memory, Pass};
pub(crate) use weights::{Gradients, Weights};
