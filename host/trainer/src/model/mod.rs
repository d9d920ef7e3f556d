//! A language model: what it looks like, its weights, and what it computes.
//!
//! [`Decoder`] is the architecture without weights; weights, gradients and moments are flat buffers of its
//! [`Layout`]. So a policy and its frozen reference share one decoder and differ in one buffer. Nothing
//! here knows a loss or a task.

mod activations;
mod block;
mod cache;
mod checkpoint;
mod config;
pub(crate) mod cuda;
mod decoder;
mod directory;
mod layout;
mod parts;
mod rotations;

use std::path::Path;
use std::sync::Arc;

pub use activations::{Activations, Keep};
pub use cache::Continuation;
pub use config::{Biases, DecoderConfig, Family, LayerConfig, NormKind, Rope, RopeScaling};
pub use decoder::Decoder;
pub(crate) use directory::additional_templates;
pub use directory::{Content, ModelDirectory};
pub use kernels::logprob::Statistics as TokenStatistics;
pub use layout::{LayerSlots, Layout, LinearSlots, NormSlots, Slot, Tensor};

use crate::fault::Fault;
use crate::files;

/// A decoder with weights.
#[derive(Debug, Clone)]
pub struct Model {
    /// The architecture.
    pub decoder: Arc<Decoder>,
    /// The weights, in the decoder's layout.
    pub weights: Vec<f32>,
}

impl Model {
    /// Reads a model from its files.
    pub fn load(directory: &ModelDirectory) -> Result<Self, Fault> {
        let mut config = DecoderConfig::parse(&directory.config)?;
        if let Some(generation) = directory.companion("generation_config.json") {
            config.end_as_generation_says(generation);
        }
        let decoder = Decoder::new(config);
        let files: Vec<&[u8]> = directory.weights.iter().map(|file| &**file).collect();
        // Tensor by tensor, so that there is never a second copy in memory; reading one may have mapped a bit of others.
        let let_go = |part: &[u8]| directory.weights.iter().for_each(|file| file.let_go(part));
        let weights = checkpoint::read(&files, decoder.layout(), let_go)?;
        files.into_iter().for_each(let_go);
        Ok(Self { decoder: Arc::new(decoder), weights })
    }
}

/// Writes tensors of a flat buffer, such as gradients, as a safetensors file of `f32`; all or nothing.
pub fn write_tensors(path: &Path, tensors: &[Tensor], buffer: &[f32]) -> Result<(), Fault> {
    files::replace(path, |partial| checkpoint::write(partial, tensors, buffer))
}

/// Reads tensors that lie one behind the other from a file that [`write_tensors`] wrote.
pub fn read_tensors(path: &Path, tensors: &[Tensor]) -> Result<Vec<f32>, Fault> {
    checkpoint::read_tensors(path, &files::read(path)?, tensors)
}
