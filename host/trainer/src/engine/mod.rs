//! What computes a policy in training: the CPU (`host`) or a CUDA device (`cuda`).
//!
//! A [`Step`](crate::step) sees one number per completion, in either direction, and none of what lies between. Calls may
//! return before their work is done, as long as the results are there when they are asked for. Not here: what a loss says
//! (`step`). A model that is only asked, and not trained, is [`Frozen`] or a set of [`Sequences`].

mod adapters;
mod cuda;
mod host;
mod sequences;

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use kernels::Write;
use kernels::cuda::Bf16;
pub use sequences::Draw;
pub(crate) use sequences::{HostSequences, Sequences};

use crate::batch::Packed;
use crate::device::{Device, Precision};
use crate::fault::Fault;
use crate::lora::Adapters;
use crate::model::{Decoder, Keep, Model, TokenStatistics};
use crate::optimizer::OptimizerSettings;

/// A policy with its gradients and moments, wherever they lie.
pub(crate) trait Engine: Debug + Send {
    /// The architecture.
    fn decoder(&self) -> &Arc<Decoder>;

    /// What passes keep and whether they say what holds of tokens; before the first of them.
    fn configure(&mut self, keep: Keep, statistics: bool);

    /// The log-probs of a batch.
    fn forward(&mut self, batch: &Packed) -> Result<(), Fault>;

    /// A backward pass will follow: whatever needs no derivative may begin. Its gradients replace what is there, or are added.
    fn expect_backward(&mut self, write: Write) -> Result<(), Fault>;

    /// The log-prob of each completion of the batch, in nats, in place of what the list holds.
    fn completion_logps(&mut self, batch: &Packed, logps: &mut Vec<f64>) -> Result<(), Fault>;

    /// What holds of the distribution of each completion token; none unless asked for.
    fn token_statistics(&self) -> Result<Option<Cow<'_, [TokenStatistics]>>, Fault>;

    /// The gradient of Σ derivative·log-prob over the completions of the batch.
    fn backward(&mut self, batch: &Packed, derivatives: &[f32]) -> Result<(), Fault>;

    /// The norm of all gradients. `maximum` is what an update clips them to, if anything.
    fn gradient_norm(&mut self, maximum: Option<f64>) -> Result<f64, Fault>;

    /// One update by the gradients, clipped as [`Self::gradient_norm`] was told. Says whether all weights are finite after it.
    fn update(&mut self, learning_rate: f64) -> Result<bool, Fault>;

    /// The weights.
    fn weights(&self) -> Result<Cow<'_, [f32]>, Fault>;

    /// The gradients, before clipping.
    fn gradients(&self) -> Result<Cow<'_, [f32]>, Fault>;

    /// AdamW's running means of the gradients and of their squares.
    fn moments(&self) -> Result<[Cow<'_, [f32]>; 2], Fault>;

    /// Goes on where another engine stopped.
    fn restore(
        &mut self,
        n_updates: usize,
        weights: Vec<f32>,
        moments: [Vec<f32>; 2],
    ) -> Result<(), Fault>;

    /// The weights will be formed from adapters ([`Self::form`]) and not by updates: moments are let go.
    fn freeze(&mut self);

    /// Gives adapters their gradients, from those of the weights.
    fn give_gradients(&mut self, adapters: &mut Adapters) -> Result<(), Fault>;

    /// Forms the weights from adapters, always the same ones. Says whether all weights are finite after it.
    fn form(&mut self, adapters: &mut Adapters) -> Result<bool, Fault>;
}

/// A model that is asked for log-probs and does not change.
pub(crate) trait Frozen: Debug {
    /// The log-prob of each completion token of the batch, in nats.
    fn token_logps(&mut self, batch: &Packed) -> Result<Cow<'_, [f32]>, Fault>;
}

/// The clipping factor for gradients of this norm: PyTorch's `clip_grad_norm_`, min(1, max/(norm + 10⁻⁶)).
pub(crate) fn clip_factor(norm: f64, maximum: Option<f64>) -> f32 {
    maximum.map_or(1.0, |maximum| (maximum / (norm + 1e-6)).min(1.0) as f32)
}

/// An engine on a device that begins with a model's weights.
pub(crate) fn start(
    device: &Device,
    model: Model,
    settings: OptimizerSettings,
) -> Result<Box<dyn Engine>, Fault> {
    Ok(match device {
        Device::Cpu => Box::new(host::Host::new(model, settings)),
        Device::Cuda { device, precision: Precision::F32 } => {
            Box::new(cuda::Cuda::<f32>::new(device.clone(), model, settings)?)
        }
        Device::Cuda { device, precision: Precision::Bf16 } => {
            Box::new(cuda::Cuda::<Bf16>::new(device.clone(), model, settings)?)
        }
    })
}

/// A model on a device, to be asked.
pub(crate) fn freeze<'a>(device: &Device, model: &'a Model) -> Result<Box<dyn Frozen + 'a>, Fault> {
    Ok(match device {
        Device::Cpu => Box::new(host::Asked::new(model)),
        Device::Cuda { device, precision: Precision::F32 } => {
            Box::new(cuda::Asked::<f32>::new(device.clone(), model)?)
        }
        Device::Cuda { device, precision: Precision::Bf16 } => {
            Box::new(cuda::Asked::<Bf16>::new(device.clone(), model)?)
        }
    })
}

/// Sequences that a model on a device continues.
pub(crate) fn sequences<'a>(
    device: &Device,
    model: &'a Model,
) -> Result<Box<dyn Sequences + 'a>, Fault> {
    Ok(match device {
        Device::Cpu => Box::new(HostSequences::owned(model)),
        Device::Cuda { device, precision: Precision::F32 } => {
            Box::new(sequences::OnDevice::<f32>::new(device.clone(), model)?)
        }
        Device::Cuda { device, precision: Precision::Bf16 } => {
            Box::new(sequences::OnDevice::<Bf16>::new(device.clone(), model)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `torch.nn.utils.clip_grad_norm_` 2.15 leaves of a single gradient in float64, over the gradient.
    #[test]
    fn gradients_are_clipped_as_in_pytorch() {
        for (norm, maximum, expected) in [
            (0.5, 1.0, 1.0),
            (1.0, 1.0, 0.999_999_000_001),
            (4.0, 1.0, 0.249_999_937_5),
            (1e-5, 1e-6, 0.090_909_090_9),
            (1e-6, 1e-6, 0.5),
        ] {
            let got = clip_factor(norm, Some(maximum));
            assert!((f64::from(got) - expected).abs() < 1e-7, "{norm} to {maximum}: {got}");
        }
        assert_eq!((clip_factor(0.0, Some(1.0)), clip_factor(1e9, None)), (1.0, 1.0));
    }
}
