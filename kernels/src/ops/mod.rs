//! The operations, one folder each: `mod.rs` holds the maths with shapes and the public functions, `cpu.rs`
//! the fast version, `cuda.rs` and a `.cu` the one for a device, `reference.rs` (tests only) the same formulas as plain `f64` loops.

pub mod activation;
pub mod adamw;
pub mod attention;
pub mod bias;
pub mod clip;
pub mod completion;
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

use crate::cuda::{PARTIALS, Source};

/// Every source of kernels, in the order of their names.
pub fn cuda_sources() -> [Source; 18] {
    [
        activation::cuda::SOURCE,
        adamw::cuda::SOURCE,
        attention::cuda::SOURCE,
        attention::cuda::TENSOR,
        attention::cuda::TENSOR_BACKWARD,
        bias::cuda::SOURCE,
        clip::cuda::SOURCE,
        completion::cuda::SOURCE,
        decode::cuda::SOURCE,
        embedding::cuda::SOURCE,
        gated::cuda::SOURCE,
        layernorm::cuda::SOURCE,
        logprob::cuda::SOURCE,
        PARTIALS,
        residual::cuda::SOURCE,
        rmsnorm::cuda::SOURCE,
        rope::cuda::SOURCE,
        sample::cuda::SOURCE,
    ]
}
