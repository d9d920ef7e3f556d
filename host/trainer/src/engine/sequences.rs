//! Sequences that grow by a token at a time, wherever they are computed. Not here: which uniform numbers they are drawn with,
//! and when they end (`generate`).

use std::fmt::Debug;
use std::sync::Arc;

use kernels::cuda::{self, Real, Staged};
use kernels::sample;

use crate::fault::Fault;
use crate::model::cuda::{Continuation as DeviceContinuation, Pass, Weights};
use crate::model::{Continuation, Decoder, Model};

/// How a token follows from its logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Draw {
    /// By its probability after the logits are divided by this number, more than 0.
    Temperature(f64),
    /// The likeliest; of equals, the one that comes first.
    Likeliest,
}

/// Sequences in the making: all samples of the first prompt, then all of the second, …
pub(crate) trait Sequences: Debug {
    /// Begins `n_samples` sequences from each prompt, each with room for `max_tokens` more.
    fn begin(
        &mut self,
        prompts: &[Vec<u32>],
        n_samples: usize,
        max_tokens: usize,
    ) -> Result<(), Fault>;

    /// The next token of each sequence, by one uniform number each. Logits may be used up.
    fn draw(&mut self, drawn: &mut [u32], draw: Draw, uniforms: &[f64]) -> Result<(), Fault>;

    /// Appends one token to every sequence.
    fn advance(&mut self, tokens: &[u32]) -> Result<(), Fault>;
}

/// Sequences on the CPU.
#[derive(Debug)]
pub(crate) struct HostSequences<'a> {
    continuation: Held<'a>,
    decoder: &'a Decoder,
    weights: &'a [f32],
    /// Logits over the temperature.
    divided: Vec<f32>,
    logps: Vec<f32>,
}

/// A continuation of somebody else's, whose buffers outlive these sequences, or one's own.
#[derive(Debug)]
enum Held<'a> {
    Lent(&'a mut Continuation),
    Own(Box<Continuation>),
}

impl Held<'_> {
    fn get(&self) -> &Continuation {
        match self {
            Self::Lent(continuation) => continuation,
            Self::Own(continuation) => continuation,
        }
    }

    fn get_mut(&mut self) -> &mut Continuation {
        match self {
            Self::Lent(continuation) => continuation,
            Self::Own(continuation) => continuation,
        }
    }
}

impl<'a> HostSequences<'a> {
    pub(crate) fn new(
        continuation: &'a mut Continuation,
        decoder: &'a Decoder,
        weights: &'a [f32],
    ) -> Self {
        Self::of(Held::Lent(continuation), decoder, weights)
    }

    pub(super) fn owned(model: &'a Model) -> Self {
        Self::of(Held::Own(Box::default()), &model.decoder, &model.weights)
    }

    fn of(continuation: Held<'a>, decoder: &'a Decoder, weights: &'a [f32]) -> Self {
        Self { continuation, decoder, weights, divided: Vec::new(), logps: Vec::new() }
    }

    /// Logits of the next token, \[sequences, vocabulary\].
    pub(crate) fn logits(&self) -> &[f32] {
        self.continuation.get().logits()
    }
}

impl Sequences for HostSequences<'_> {
    fn begin(
        &mut self,
        prompts: &[Vec<u32>],
        n_samples: usize,
        max_tokens: usize,
    ) -> Result<(), Fault> {
        let (decoder, weights) = (self.decoder, self.weights);
        self.continuation.get_mut().begin(decoder, weights, prompts, n_samples, max_tokens);
        Ok(())
    }

    fn draw(&mut self, drawn: &mut [u32], draw: Draw, uniforms: &[f64]) -> Result<(), Fault> {
        let vocabulary = self.decoder.config().vocabulary;
        let Self { continuation, divided, logps, .. } = self;
        let logits = continuation.get().logits();
        let logits = match draw {
            Draw::Likeliest => {
                sample::likeliest(drawn, logits, vocabulary);
                return Ok(());
            }
            Draw::Temperature(1.0) => logits,
            Draw::Temperature(temperature) => {
                divided.clear();
                divided.extend(logits.iter().map(|logit| (f64::from(*logit) / temperature) as f32));
                divided
            }
        };
        logps.resize(drawn.len(), 0.0);
        sample::categorical(drawn, logps, logits, uniforms, vocabulary);
        Ok(())
    }

    fn advance(&mut self, tokens: &[u32]) -> Result<(), Fault> {
        self.continuation.get_mut().advance(self.decoder, self.weights, tokens);
        Ok(())
    }
}

/// Sequences on a CUDA device: uniform numbers go there, tokens come back.
#[derive(Debug)]
pub(super) struct OnDevice<'a, R: Real> {
    device: Arc<cuda::Device>,
    decoder: &'a Decoder,
    weights: Weights<R>,
    continuation: DeviceContinuation<R>,
    drawn: Staged<u32>,
}

impl<'a, R: Real> OnDevice<'a, R> {
    pub(super) fn new(device: Arc<cuda::Device>, model: &'a Model) -> Result<Self, Fault> {
        let weights = Weights::upload(&device, &model.weights)?;
        let (continuation, drawn) = (DeviceContinuation::default(), Staged::default());
        Ok(Self { device, decoder: &model.decoder, weights, continuation, drawn })
    }
}

impl<R: Real> Sequences for OnDevice<'_, R> {
    fn begin(
        &mut self,
        prompts: &[Vec<u32>],
        n_samples: usize,
        max_tokens: usize,
    ) -> Result<(), Fault> {
        let Self { device, decoder, weights, continuation, .. } = self;
        let pass = Pass { device, decoder, weights };
        Ok(continuation.begin(&pass, prompts, n_samples, max_tokens)?)
    }

    fn draw(&mut self, drawn: &mut [u32], draw: Draw, uniforms: &[f64]) -> Result<(), Fault> {
        let (device, vocabulary) = (&self.device, self.decoder.config().vocabulary);
        let logits = self.continuation.logits();
        let mut ids = device.scratch::<u32>(drawn.len())?;
        let there = &mut ids.as_view_mut();
        match draw {
            Draw::Likeliest => {
                sample::cuda::likeliest(device, there, &logits.as_view(), vocabulary)?;
            }
            Draw::Temperature(temperature) => {
                if temperature != 1.0 {
                    sample::cuda::divide(device, &mut logits.as_view_mut(), temperature)?;
                }
                let mut logps = device.scratch::<f32>(drawn.len())?;
                let (uniforms, logps) = (device.upload(uniforms)?, &mut logps.as_view_mut());
                let logits = &logits.as_view();
                sample::cuda::categorical(device, there, logps, logits, &uniforms, vocabulary)?;
            }
        }
        self.drawn.download(device, &ids.as_view())?;
        drawn.copy_from_slice(self.drawn.values()?);
        Ok(())
    }

    fn advance(&mut self, tokens: &[u32]) -> Result<(), Fault> {
        let Self { device, decoder, weights, continuation, .. } = self;
        Ok(continuation.advance(&Pass { device, decoder, weights }, tokens)?)
    }
}
