//! Weights and their gradients on a device, in the layout that they have on the CPU.

use kernels::cuda::{Buffer, Device, Fault, Real, View, ViewMut};

use crate::model::layout::Slot;

/// The weights: masters in `f32`, and a copy as the kernels read them.
#[derive(Debug)]
pub(crate) struct Weights<R> {
    pub masters: Buffer<f32>,
    /// None where the kernels read the masters.
    pub copy: Option<Buffer<R>>,
}

impl<R: Real> Weights<R> {
    /// Copies weights to the device.
    pub(crate) fn upload(device: &Device, weights: &[f32]) -> Result<Self, Fault> {
        let masters =
            device.upload_many(weights.iter().copied()).map_err(Fault::naming("the weights"))?;
        let copy = match R::of_f32(&masters) {
            Some(_) => None,
            None => {
                let copy = device.upload_many(weights.iter().map(|&weight| R::from(weight)));
                Some(copy.map_err(Fault::naming("the weights' copy as bf16"))?)
            }
        };
        Ok(Self { masters, copy })
    }

    /// Writes other weights over these.
    pub(crate) fn replace(&mut self, device: &Device, weights: &[f32]) -> Result<(), Fault> {
        device.copy_in_many(&mut self.masters.as_view_mut(), weights.iter().copied())?;
        if let Some(copy) = &mut self.copy {
            let rounded = weights.iter().map(|&weight| R::from(weight));
            device.copy_in_many(&mut copy.as_view_mut(), rounded)?;
        }
        Ok(())
    }

    /// One tensor as the kernels read it.
    pub(crate) fn of(&self, slot: Slot) -> View<'_, R> {
        let all = match &self.copy {
            Some(copy) => copy.as_view(),
            None => R::of_f32(&self.masters).expect("there is a copy unless R is f32"),
        };
        all.slice(slot.range())
    }
}

/// Gradients of all weights. What a pass finds is added to what is there.
#[derive(Debug)]
pub(crate) struct Gradients {
    pub buffer: Buffer<f32>,
}

impl Gradients {
    /// The gradient of one tensor.
    pub(crate) fn of(&mut self, slot: Slot) -> ViewMut<'_, f32> {
        self.buffer.slice_mut(slot.range())
    }

    /// Lets `f` have those of a weight and of its bias, which a layout has behind the weight.
    pub(crate) fn with_both<T>(
        &mut self,
        weight: Slot,
        bias: Slot,
        f: impl FnOnce(&mut ViewMut<f32>, &mut ViewMut<f32>) -> T,
    ) -> T {
        let (mut before, mut from_bias) = self.buffer.split_at_mut(bias.start);
        f(&mut before.slice_mut(weight.range()), &mut from_bias.slice_mut(0..bias.len))
    }
}
