//! Low-rank adapters on a device: `lora` with launches for calls.
//!
//! The frozen matrices lie there, beside the weights and their gradients; what crosses in a step are A, B and their gradients.
//! Not here: their update, which is the host's, since they are small (`step`).

use kernels::cuda::{Buffer, Device, Fault, Real, Staged};
use kernels::{Write, logprob, matmul};

use crate::lora::Adapters;
use crate::model::cuda::{Gradients, Weights};

/// What a device holds of adapters.
#[derive(Debug)]
pub(super) struct AdaptersThere {
    /// W₀ of each piece.
    frozen: Buffer<f32>,
    /// A and (α/r)·B of each piece.
    parameters: Buffer<f32>,
    gradients: Buffer<f32>,
    going: Staged<f32>,
    coming: Staged<f32>,
}

impl AdaptersThere {
    pub(super) fn new(device: &Device, adapters: &Adapters) -> Result<Self, Fault> {
        let mut there = Self {
            frozen: device
                .upload_many(adapters.frozen().iter().copied())
                .map_err(Fault::naming("the frozen weights"))?,
            parameters: device.zeros(adapters.parameters().len())?,
            gradients: device.zeros(adapters.parameters().len())?,
            going: Staged::default(),
            coming: Staged::default(),
        };
        there.take(device, adapters)?;
        Ok(there)
    }

    /// Takes A and B from the host.
    fn take(&mut self, device: &Device, adapters: &Adapters) -> Result<(), Fault> {
        let parameters = adapters.scaled_parameters().into_iter();
        self.going.upload(device, &mut self.parameters.as_view_mut(), parameters)
    }

    /// W = W₀ + (α/r)·B·A, and its copy as the kernels read it.
    pub(super) fn form<R: Real>(
        &mut self,
        device: &Device,
        adapters: &Adapters,
        weights: &mut Weights<R>,
    ) -> Result<(), Fault> {
        self.take(device, adapters)?;
        for piece in adapters.pieces() {
            let mut w = weights.masters.slice_mut(piece.weight.range());
            device.copy(&mut w, &self.frozen.slice(piece.frozen.range()))?;
            let [a, b] = [piece.a, piece.b].map(|slot| self.parameters.slice(slot.range()));
            let add = Write::Accumulate;
            matmul::cuda::backward_input(device, &mut w, &b, &a, piece.shape, add)?;
            if let Some(copy) = &mut weights.copy {
                let copy = &mut copy.slice_mut(piece.weight.range());
                logprob::cuda::round(device, copy, &w.as_view())?;
            }
        }
        Ok(())
    }

    /// dB = (α/r)·dW·Aᵀ and dA = (α/r)·Bᵀ·dW, brought to the host.
    pub(super) fn gradients(
        &mut self,
        device: &Device,
        adapters: &mut Adapters,
        of_weights: &Gradients,
    ) -> Result<(), Fault> {
        device.clear(&mut self.gradients.as_view_mut())?;
        for piece in adapters.pieces() {
            let dw = &of_weights.buffer.slice(piece.weight.range());
            let [a, b] = [piece.a, piece.b].map(|slot| self.parameters.slice(slot.range()));
            let db = &mut self.gradients.slice_mut(piece.b.range());
            matmul::cuda::forward(device, db, dw, &a, piece.shape, Write::Overwrite)?;
            let da = &mut self.gradients.slice_mut(piece.a.range());
            matmul::cuda::backward_weight(device, da, None, &b, dw, piece.shape)?;
        }
        self.coming.download(device, &self.gradients.as_view())?;
        adapters.take_half_scaled(self.coming.values()?);
        Ok(())
    }
}
