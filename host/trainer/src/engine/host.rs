//! The CPU as an engine.

use std::borrow::Cow;
use std::sync::Arc;

use kernels::{Write, clip, completion};

use super::{Engine, Frozen, clip_factor};
use crate::batch::Packed;
use crate::fault::Fault;
use crate::lora::Adapters;
use crate::model::{Activations, Decoder, Keep, Model, TokenStatistics};
use crate::optimizer::{Optimizer, OptimizerSettings};

/// A policy in this program's memory; buffers are reused from step to step.
#[derive(Debug)]
pub(super) struct Host {
    decoder: Arc<Decoder>,
    weights: Vec<f32>,
    gradients: Vec<f32>,
    optimizer: Optimizer,
    activations: Activations,
    /// Of the batch's completions.
    starts: Vec<u32>,
    /// Per completion token.
    dlogps: Vec<f32>,
    write: Write,
    gradient_scale: f32,
}

impl Host {
    pub(super) fn new(model: Model, settings: OptimizerSettings) -> Self {
        let layout = model.decoder.layout();
        Self {
            gradients: vec![0.0; layout.len()],
            optimizer: Optimizer::new(settings, &layout.tensors),
            decoder: model.decoder,
            weights: model.weights,
            activations: Activations::default(),
            starts: Vec::new(),
            dlogps: Vec::new(),
            write: Write::Overwrite,
            gradient_scale: 1.0,
        }
    }
}

impl Engine for Host {
    fn decoder(&self) -> &Arc<Decoder> {
        &self.decoder
    }

    fn configure(&mut self, keep: Keep, statistics: bool) {
        self.activations = Activations::new(keep);
        if statistics {
            self.activations = std::mem::take(&mut self.activations).with_statistics();
        }
    }

    fn forward(&mut self, batch: &Packed) -> Result<(), Fault> {
        self.starts.clear();
        self.starts.extend(batch.completion_starts());
        self.decoder.forward(&self.weights, batch, &mut self.activations);
        Ok(())
    }

    fn expect_backward(&mut self, write: Write) -> Result<(), Fault> {
        self.write = write;
        Ok(())
    }

    fn completion_logps(&mut self, batch: &Packed, logps: &mut Vec<f64>) -> Result<(), Fault> {
        logps.resize(batch.completions.len(), 0.0);
        completion::forward(logps, self.activations.token_logps(), &self.starts);
        Ok(())
    }

    fn token_statistics(&self) -> Result<Option<Cow<'_, [TokenStatistics]>>, Fault> {
        Ok(self.activations.token_statistics().map(Cow::Borrowed))
    }

    fn backward(&mut self, batch: &Packed, derivatives: &[f32]) -> Result<(), Fault> {
        self.dlogps.resize(batch.targets.len(), 0.0);
        completion::backward(&mut self.dlogps, derivatives, &self.starts);
        let (gradients, activations) = (&mut self.gradients, &mut self.activations);
        let (weights, dlogps) = (&self.weights, &self.dlogps);
        self.decoder.backward(gradients, weights, batch, activations, dlogps, self.write);
        Ok(())
    }

    fn gradient_norm(&mut self, maximum: Option<f64>) -> Result<f64, Fault> {
        let norm = clip::global_norm(&self.gradients);
        self.gradient_scale = clip_factor(norm, maximum);
        Ok(norm)
    }

    /// Two passes over memory with the norm: that is not finite where any gradient is not, and the update says whether
    /// the weights are.
    fn update(&mut self, learning_rate: f64) -> Result<bool, Fault> {
        let (weights, gradients) = (&mut self.weights, &self.gradients);
        Ok(self.optimizer.update(weights, gradients, self.gradient_scale, learning_rate))
    }

    fn weights(&self) -> Result<Cow<'_, [f32]>, Fault> {
        Ok(Cow::Borrowed(&self.weights))
    }

    fn gradients(&self) -> Result<Cow<'_, [f32]>, Fault> {
        Ok(Cow::Borrowed(&self.gradients))
    }

    fn moments(&self) -> Result<[Cow<'_, [f32]>; 2], Fault> {
        Ok(self.optimizer.moments().map(Cow::Borrowed))
    }

    fn restore(
        &mut self,
        n_updates: usize,
        weights: Vec<f32>,
        moments: [Vec<f32>; 2],
    ) -> Result<(), Fault> {
        self.weights = weights;
        self.optimizer.restore(n_updates, moments);
        Ok(())
    }

    fn freeze(&mut self) {
        self.optimizer.forget();
    }

    fn give_gradients(&mut self, adapters: &mut Adapters) -> Result<(), Fault> {
        adapters.take_gradients(&self.gradients);
        Ok(())
    }

    fn form(&mut self, adapters: &mut Adapters) -> Result<bool, Fault> {
        adapters.form(&mut self.weights);
        Ok(self.weights.iter().all(|weight| weight.is_finite()))
    }
}

/// A model that is asked, with the memory of its passes.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    model: &'a Model,
    activations: Activations,
}

impl<'a> Asked<'a> {
    pub(super) fn new(model: &'a Model) -> Self {
        Self { model, activations: Activations::new(Keep::Nothing) }
    }
}

impl Frozen for Asked<'_> {
    fn token_logps(&mut self, batch: &Packed) -> Result<Cow<'_, [f32]>, Fault> {
        let Self { model, activations } = self;
        model.decoder.forward(&model.weights, batch, activations);
        Ok(Cow::Borrowed(activations.token_logps()))
    }
}
