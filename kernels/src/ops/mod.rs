//! The operations, one folder each: `mod.rs` holds the maths with shapes and the public functions, `cpu.rs`
//! the fast version, `reference.rs` (tests only) the same formulas as plain `f64` loops.

pub mod activation;
pub mod adamw;
pub mod attention;
pub mod bias;
pub mod clip;
pub mod decode;
pub mod embedding;
pub mod gated;
pub mod kl;
pub mod layernorm;
pub mod logprob;
pub mod matmul;
pub mod residual;
pub mod rmsnorm;
pub mod rope;
pub mod sample;
