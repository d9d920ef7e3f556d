//! The operations, one folder each: `mod.rs` holds the maths with shapes and the public functions, `cpu.rs`
//! the fast version, `reference.rs` (tests only) the same formulas as plain `f64` loops.

pub mod adamw;
pub mod attention;
pub mod clip;
pub mod decode;
pub mod embedding;
pub mod kl;
pub mod logprob;
pub mod matmul;
pub mod residual;
pub mod rmsnorm;
pub mod rope;
pub mod sample;
pub mod swiglu;
