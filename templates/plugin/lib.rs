//! The wrapper that makes a component of one loss: `loss.rs` stands beside this file.
#![no_std]

#[forbid(unsafe_code)]
mod loss;

guest_sdk::export!(loss::Loss);
