//! A CUDA device as an engine.
//!
//! Weights, gradients and moments stay there from the first step to the last. What crosses are the tokens of a batch, one
//! number per completion in either direction, the gradient's norm and the scalars of the update, all through pinned memory. While
//! the host asks the loss, the device clears the gradients. What a step launches is replayed from graphs where it was the same
//! before.

use std::borrow::Cow;
use std::sync::Arc;

use kernels::clip::cuda::{Norm, global_norm};
use kernels::cuda::{self, Buffer, Device, Real, Replay, Staged};
use kernels::{Write, adamw};

use super::adapters::AdaptersThere;
use super::{Engine, Frozen};
use crate::batch::Packed;
use crate::fault::Fault;
use crate::lora::Adapters;
use crate::model::cuda::{Gradients, Memory, Pass, Weights};
use crate::model::{Decoder, Keep, Model, TokenStatistics};
use crate::optimizer::{OptimizerSettings, groups};

/// What the optimiser's memory is called where there is no room for it.
const MOMENTS: &str = "AdamW's moments";

/// A policy on a device, its activations stored as R.
#[derive(Debug)]
pub(super) struct Cuda<R: Real> {
    device: Arc<Device>,
    decoder: Arc<Decoder>,
    weights: Weights<R>,
    gradients: Gradients,
    /// Empty where the weights are frozen.
    moments: Option<[Buffer<f32>; 2]>,
    n_updates: u64,
    settings: OptimizerSettings,
    groups: Vec<adamw::Group>,
    scalars: adamw::cuda::Scalars,
    memory: Memory<R>,
    logps: Staged<f64>,
    /// Of the gradients, and their clipping factor.
    norm: Norm,
    /// For which maximum the norm was captured.
    norm_replay: (Replay, f64),
    update_replay: Replay,
    adapters: Option<AdaptersThere>,
}

impl<R: Real> Cuda<R> {
    pub(super) fn new(
        device: Arc<Device>,
        model: Model,
        settings: OptimizerSettings,
    ) -> Result<Self, Fault> {
        let Model { decoder, weights } = model;
        let len = weights.len();
        let groups = groups(&settings, &decoder.layout().tensors);
        Ok(Self {
            weights: Weights::upload(&device, &weights)?,
            gradients: Gradients {
                buffer: device.zeros(len).map_err(cuda::Fault::naming("the gradients"))?,
            },
            moments: None,
            n_updates: 0,
            scalars: adamw::cuda::Scalars::new(&device, groups.len())?,
            groups,
            settings,
            memory: Memory::new(Keep::All, false),
            logps: Staged::default(),
            norm: Norm::new(&device)?,
            norm_replay: (Replay::default(), f64::INFINITY),
            update_replay: Replay::default(),
            adapters: None,
            decoder,
            device,
        })
    }

    fn weights_are_finite(&self) -> Result<bool, Fault> {
        // Not finite where any weight is not; squares of f32 do not overflow f64.
        let mut norm = Norm::new(&self.device)?;
        let weights = &self.weights.masters.as_view();
        global_norm(&self.device, &mut norm, weights, f64::INFINITY)?;
        Ok(norm.value(&self.device)?.is_finite())
    }
}

/// What the device holds of adapters, brought there when it is first asked for.
fn there<'a>(
    held: &'a mut Option<AdaptersThere>,
    device: &Device,
    adapters: &Adapters,
) -> Result<&'a mut AdaptersThere, Fault> {
    Ok(match held {
        Some(there) => there,
        None => held.insert(AdaptersThere::new(device, adapters)?),
    })
}

impl<R: Real> Engine for Cuda<R> {
    fn decoder(&self) -> &Arc<Decoder> {
        &self.decoder
    }

    fn configure(&mut self, keep: Keep, statistics: bool) {
        self.memory = Memory::new(keep, statistics);
    }

    fn forward(&mut self, batch: &Packed) -> Result<(), Fault> {
        let Self { device, decoder, weights, .. } = self;
        self.memory.forward(&Pass { device, decoder, weights }, batch)?;
        Ok(self.logps.download(device, &self.memory.completion_logps())?)
    }

    fn expect_backward(&mut self, write: Write) -> Result<(), Fault> {
        match write {
            Write::Accumulate => Ok(()),
            Write::Overwrite => Ok(self.device.clear(&mut self.gradients.buffer.as_view_mut())?),
        }
    }

    fn completion_logps(&mut self, _: &Packed, logps: &mut Vec<f64>) -> Result<(), Fault> {
        logps.clear();
        logps.extend(self.logps.values()?);
        Ok(())
    }

    fn token_statistics(&self) -> Result<Option<Cow<'_, [TokenStatistics]>>, Fault> {
        Ok(self.memory.token_statistics()?.map(Cow::Owned))
    }

    fn backward(&mut self, _: &Packed, derivatives: &[f32]) -> Result<(), Fault> {
        let Self { device, decoder, weights, .. } = self;
        let pass = Pass { device, decoder, weights };
        Ok(self.memory.backward(&pass, &mut self.gradients, derivatives)?)
    }

    fn gradient_norm(&mut self, maximum: Option<f64>) -> Result<f64, Fault> {
        let maximum = maximum.unwrap_or(f64::INFINITY);
        let Self { device, norm, norm_replay: (replay, captured), gradients, .. } = self;
        if *captured != maximum {
            (*replay, *captured) = (Replay::default(), maximum);
        }
        let gradients = &gradients.buffer.as_view();
        replay.run(device, || global_norm(device, norm, gradients, maximum))?;
        Ok(norm.value(device)?)
    }

    fn update(&mut self, learning_rate: f64) -> Result<bool, Fault> {
        let device = &self.device;
        let [first, second] = match self.moments.take() {
            Some(moments) => moments,
            None => {
                let len = self.gradients.buffer.len();
                // What was captured wrote to others.
                self.update_replay = Replay::default();
                let zeros = || device.zeros(len).map_err(cuda::Fault::naming(MOMENTS));
                [zeros()?, zeros()?]
            }
        };
        let [first, second] = self.moments.insert([first, second]);
        self.n_updates += 1;
        let OptimizerSettings { beta1, beta2, epsilon, .. } = self.settings;
        let settings = adamw::Settings { learning_rate, beta1, beta2, epsilon };
        self.scalars.set(device, self.n_updates, &settings, &self.groups)?;
        let Weights { masters, copy } = &mut self.weights;
        self.update_replay.run(device, || {
            let moments = adamw::cuda::Moments {
                first: &mut first.as_view_mut(),
                second: &mut second.as_view_mut(),
            };
            let mut copy = copy.as_mut().map(|copy| copy.as_view_mut());
            adamw::cuda::step::<R>(
                device,
                &mut masters.as_view_mut(),
                copy.as_mut(),
                moments,
                &self.gradients.buffer.as_view(),
                self.norm.factor(),
                &self.scalars,
                &self.groups,
            )
        })?;
        if !self.settings.may_overflow(learning_rate) {
            return Ok(true);
        }
        self.weights_are_finite()
    }

    fn weights(&self) -> Result<Cow<'_, [f32]>, Fault> {
        Ok(Cow::Owned(self.device.download(&self.weights.masters.as_view())?))
    }

    fn gradients(&self) -> Result<Cow<'_, [f32]>, Fault> {
        Ok(Cow::Owned(self.device.download(&self.gradients.buffer.as_view())?))
    }

    fn moments(&self) -> Result<[Cow<'_, [f32]>; 2], Fault> {
        let Some([first, second]) = &self.moments else {
            let none = || Cow::Owned(vec![0.0; self.gradients.buffer.len()]);
            return Ok([none(), none()]);
        };
        let down = |moments: &Buffer<f32>| self.device.download(&moments.as_view());
        Ok([Cow::Owned(down(first)?), Cow::Owned(down(second)?)])
    }

    fn restore(
        &mut self,
        n_updates: usize,
        weights: Vec<f32>,
        [first, second]: [Vec<f32>; 2],
    ) -> Result<(), Fault> {
        self.n_updates = n_updates as u64;
        self.weights.replace(&self.device, &weights)?;
        // What was captured wrote to others.
        self.update_replay = Replay::default();
        let up = |moments: Vec<f32>| {
            let there = self.device.upload_many(moments.into_iter());
            there.map_err(cuda::Fault::naming(MOMENTS))
        };
        self.moments = Some([up(first)?, up(second)?]);
        Ok(())
    }

    fn freeze(&mut self) {
        self.moments = None;
    }

    fn give_gradients(&mut self, adapters: &mut Adapters) -> Result<(), Fault> {
        let there = there(&mut self.adapters, &self.device, adapters)?;
        Ok(there.gradients(&self.device, adapters, &self.gradients)?)
    }

    fn form(&mut self, adapters: &mut Adapters) -> Result<bool, Fault> {
        let there = there(&mut self.adapters, &self.device, adapters)?;
        there.form(&self.device, adapters, &mut self.weights)?;
        self.weights_are_finite()
    }
}

/// A model that is asked, with the memory of its passes.
#[derive(Debug)]
pub(super) struct Asked<'a, R> {
    device: Arc<Device>,
    decoder: &'a Decoder,
    weights: Weights<R>,
    memory: Memory<R>,
}

impl<'a, R: Real> Asked<'a, R> {
    pub(super) fn new(device: Arc<Device>, model: &'a Model) -> Result<Self, Fault> {
        let weights = Weights::upload(&device, &model.weights)?;
        let memory = Memory::new(Keep::Nothing, false);
        Ok(Self { device, decoder: &model.decoder, weights, memory })
    }
}

impl<R: Real> Frozen for Asked<'_, R> {
    fn token_logps(&mut self, batch: &Packed) -> Result<Cow<'_, [f32]>, Fault> {
        let Self { device, decoder, weights, memory } = self;
        memory.forward(&Pass { device, decoder, weights }, batch)?;
        Ok(Cow::Owned(memory.token_logps(device)?))
    }
}
