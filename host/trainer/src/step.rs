//! One training step: forward, log-probs, loss, backward, clipping, AdamW.
//!
//! The loss stands between two halves of the step: it is asked once per batch for the derivative of its sum by
//! each pair's log-probs; divided by the number of pairs, these flow back through every token of a completion
//! alike. A batch that does not fit into memory is taken in parts whose gradients add up; a loss that looks at one pair at
//! a time does not notice, one that looks at a whole batch sees each part as its batch. A number that is not finite
//! anywhere on the way is the loss's fault and ends the run.
//! Not here: which pairs come next and when to stop (`train`, `task`).

use std::borrow::Cow;
use std::time::{Duration, Instant};

use kernels::{Write, clip};
use serde::Serialize;
use tracing::trace_span;

use crate::batch::Packed;
use crate::device::Device;
use crate::engine::{self, Engine, clip_factor};
use crate::fault::{Fault, TrainFailure};
use crate::lora::Adapters;
use crate::loss::{LossGradients, Moment, PairBatch, PreferenceLoss, Rejected, checked};
use crate::model::{Decoder, Keep, Model, Tensor};
use crate::optimizer::{Optimizer, OptimizerSettings};
use crate::pairs::{ReferencedPair, pack};
use crate::stats::mean;
use crate::tokens::{TokenMetrics, TokenTally};

/// A policy in training and all that a step needs; buffers are reused from step to step.
#[derive(Debug)]
pub struct Trainer {
    engine: Box<dyn Engine>,
    /// What clipping multiplied the last step's gradient with.
    gradient_scale: f32,
    adapters: Option<AdapterTraining>,
    settings: OptimizerSettings,
    n_steps: usize,
    /// Most pairs of one pass.
    pairs_per_pass: usize,
    keep: Keep,
    /// β of the rewards in the metrics.
    reward_beta: f64,
    /// Steps done.
    step: usize,
    batch: Packed,
    pairs: PairBatch,
    /// Of the step that is being made.
    tally: Tally,
    /// Per completion.
    logps: Vec<f64>,
    /// Per completion.
    derivatives: Vec<f32>,
    timings: Timings,
}

/// Adapters that are trained in place of the weights. Their update is the CPU's whatever computes the rest: they are small.
#[derive(Debug)]
struct AdapterTraining {
    adapters: Adapters,
    optimizer: Optimizer,
}

/// Parameters in training with the running means that AdamW keeps of their gradients, in one layout.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained<T> {
    /// The parameters.
    pub parameters: T,
    /// Means of the gradients.
    pub first: T,
    /// Means of the squared gradients.
    pub second: T,
}

impl Trained<Cow<'_, [f32]>> {
    /// The same, on its own.
    pub fn into_owned(self) -> Trained<Vec<f32>> {
        let [parameters, first, second] =
            [self.parameters, self.first, self.second].map(Cow::into_owned);
        Trained { parameters, first, second }
    }
}

/// Where the time of the last step went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Log-probs of the policy.
    pub forward: Duration,
    /// Gradients, without the loss's own share.
    pub backward: Duration,
    /// Norm, clipping and the update.
    pub optimizer: Duration,
}

/// What a step did, under TRL's names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepMetrics {
    /// The step, counted from 1.
    pub step: usize,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The step's learning rate.
    pub learning_rate: f64,
    /// What holds of the batch before the update.
    #[serde(flatten)]
    pub pairs: PairMetrics,
}

/// What holds of pairs under a policy, under TRL's names: means over the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairMetrics {
    /// Mean loss.
    pub loss: f64,
    /// Mean implicit reward of chosen completions, β·logratio.
    #[serde(rename = "rewards/chosen")]
    pub rewards_chosen: f64,
    /// Mean implicit reward of rejected completions.
    #[serde(rename = "rewards/rejected")]
    pub rewards_rejected: f64,
    /// Part of the pairs whose chosen reward exceeds the rejected one.
    #[serde(rename = "rewards/accuracies")]
    pub rewards_accuracies: f64,
    /// Mean difference of the rewards.
    #[serde(rename = "rewards/margins")]
    pub rewards_margins: f64,
    /// Mean log-prob of chosen completions under the policy.
    #[serde(rename = "logps/chosen")]
    pub logps_chosen: f64,
    /// Mean log-prob of rejected completions under the policy.
    #[serde(rename = "logps/rejected")]
    pub logps_rejected: f64,
    /// What holds of the tokens, if it was asked for.
    #[serde(flatten)]
    pub tokens: Option<TokenMetrics>,
}

/// β of the rewards in [`PairMetrics`], unless another is given: TRL's default.
pub const REWARD_BETA: f64 = 0.1;

impl Trainer {
    /// A policy on the CPU that begins as `model`, for a run of `n_steps`.
    pub fn new(model: Model, settings: OptimizerSettings, n_steps: usize) -> Self {
        let started = Self::on(&Device::Cpu, model, settings, n_steps);
        started.expect("the CPU needs nothing that could be missing")
    }

    /// The same on any device.
    ///
    /// # Errors
    ///
    /// No room on the device.
    pub fn on(
        device: &Device,
        model: Model,
        settings: OptimizerSettings,
        n_steps: usize,
    ) -> Result<Self, Fault> {
        Ok(Self {
            engine: engine::start(device, model, settings.clone())?,
            gradient_scale: 1.0,
            adapters: None,
            settings,
            n_steps,
            pairs_per_pass: usize::MAX,
            keep: Keep::All,
            reward_beta: REWARD_BETA,
            step: 0,
            batch: Packed::default(),
            pairs: PairBatch::default(),
            tally: Tally::default(),
            logps: Vec::new(),
            derivatives: Vec::new(),
            timings: Timings::default(),
        })
    }

    /// The same with less memory: passes of at most `pairs` pairs, and of a pass what `keep` says is kept.
    pub fn with_passes(mut self, pairs: usize, keep: Keep) -> Self {
        assert!(pairs > 0, "a pass needs at least one pair");
        assert_ne!(keep, Keep::Nothing, "training needs a backward pass");
        self.pairs_per_pass = pairs;
        self.keep = keep;
        self.engine.configure(keep, false);
        self
    }

    /// The same, with [`TokenMetrics`] in what it says of pairs, and rewards of this β.
    pub fn with_token_metrics(mut self, reward_beta: f64) -> Self {
        self.engine.configure(self.keep, true);
        self.reward_beta = reward_beta;
        self
    }

    /// The same, with adapters trained and the weights frozen.
    pub fn with_adapters(mut self, adapters: Adapters) -> Self {
        let optimizer = Optimizer::new(self.settings.clone(), adapters.tensors());
        self.engine.freeze();
        self.adapters = Some(AdapterTraining { adapters, optimizer });
        self
    }

    /// What is trained in place of the weights.
    pub fn adapters(&self) -> Option<&Adapters> {
        self.adapters.as_ref().map(|training| &training.adapters)
    }

    /// The policy's weights.
    ///
    /// # Errors
    ///
    /// A device that does not give them back; the CPU does.
    pub fn weights(&self) -> Result<Cow<'_, [f32]>, Fault> {
        self.engine.weights()
    }

    /// The gradient of the last step's mean loss, before clipping.
    ///
    /// # Errors
    ///
    /// As [`Self::weights`].
    pub fn gradients(&self) -> Result<Cow<'_, [f32]>, Fault> {
        self.engine.gradients()
    }

    /// Where the time of the last step went, as far as the host waited for it.
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// Steps done.
    pub fn n_steps_done(&self) -> usize {
        self.step
    }

    /// The decoder of the policy.
    pub fn decoder(&self) -> &Decoder {
        self.engine.decoder()
    }

    /// What training changes: the weights, or the adapters.
    ///
    /// # Errors
    ///
    /// As [`Self::weights`].
    pub fn trained(&self) -> Result<Trained<Cow<'_, [f32]>>, Fault> {
        let (parameters, [first, second]) = match &self.adapters {
            None => (self.engine.weights()?, self.engine.moments()?),
            Some(AdapterTraining { adapters, optimizer }) => {
                (Cow::Borrowed(adapters.parameters()), optimizer.moments().map(Cow::Borrowed))
            }
        };
        Ok(Trained { parameters, first, second })
    }

    /// The tensors of what training changes.
    pub fn trained_tensors(&self) -> &[Tensor] {
        self.adapters().map_or(&self.decoder().layout().tensors, Adapters::tensors)
    }

    /// The gradient of the last step by what training changes, clipped if the settings say so.
    ///
    /// # Errors
    ///
    /// As [`Self::weights`].
    pub fn trained_gradients(&self) -> Result<Cow<'_, [f32]>, Fault> {
        let gradients = match self.adapters() {
            None => self.engine.gradients()?,
            Some(adapters) => Cow::Borrowed(adapters.gradients()),
        };
        Ok(match self.gradient_scale {
            1.0 => gradients,
            scale => Cow::Owned(gradients.iter().map(|gradient| scale * gradient).collect()),
        })
    }

    /// Goes on where another trainer stopped after `n_steps_done` steps.
    ///
    /// # Errors
    ///
    /// No room on the device.
    pub fn restore(
        &mut self,
        n_steps_done: usize,
        trained: Trained<Vec<f32>>,
    ) -> Result<(), Fault> {
        self.step = n_steps_done;
        let Trained { parameters, first, second } = trained;
        match &mut self.adapters {
            None => self.engine.restore(n_steps_done, parameters, [first, second]),
            Some(AdapterTraining { adapters, optimizer }) => {
                optimizer.restore(n_steps_done, [first, second]);
                adapters.restore(parameters);
                self.engine.form(adapters).map(drop)
            }
        }
    }

    /// What a step would say about pairs before its update; nothing is learnt. The pairs are one batch for
    /// the loss, unless they are more than those of a pass.
    pub fn evaluate(
        &mut self,
        pairs: &[&ReferencedPair],
        loss: &mut dyn PreferenceLoss,
        tally: &mut Tally,
    ) -> Result<(), TrainFailure> {
        for (i, part) in pairs.chunks(self.pairs_per_pass).enumerate() {
            self.judge(part, i * self.pairs_per_pass, loss, tally, None)?;
        }
        Ok(())
    }

    /// The policy's log-probs of a part that begins with the batch's pair `first`, and what the loss says of them.
    /// `learns`: what a backward pass that follows does with the gradients that are there.
    fn judge(
        &mut self,
        part: &[&ReferencedPair],
        first: usize,
        loss: &mut dyn PreferenceLoss,
        tally: &mut Tally,
        learns: Option<Write>,
    ) -> Result<LossGradients, TrainFailure> {
        let moment = self.moment(learns);
        self.forward(part, first, learns)?;
        let answer = trace_span!("loss").in_scope(|| loss.evaluate(&self.pairs));
        let answer = answer.map_err(|failure| failure.at(moment))?;
        let answer = checked(answer, &self.pairs, first, moment)?;
        tally.add(&self.pairs, &answer, self.reward_beta);
        if let Some(statistics) = self.engine.token_statistics()? {
            tally.tokens.get_or_insert_default().add(&self.batch, &statistics);
        }
        Ok(answer)
    }

    /// The trained policy.
    ///
    /// # Errors
    ///
    /// As [`Self::weights`].
    pub fn into_model(self) -> Result<Model, Fault> {
        let weights = self.engine.weights()?.into_owned();
        Ok(Model { decoder: self.engine.decoder().clone(), weights })
    }

    /// One step on at least one pair.
    pub fn step(
        &mut self,
        pairs: &[&ReferencedPair],
        loss: &mut dyn PreferenceLoss,
    ) -> Result<StepMetrics, TrainFailure> {
        assert!(!pairs.is_empty(), "a step needs at least one pair");
        self.step += 1;
        let done = self.try_step(pairs, loss);
        if done.is_err() {
            self.step -= 1;
        }
        done
    }

    fn try_step(
        &mut self,
        pairs: &[&ReferencedPair],
        loss: &mut dyn PreferenceLoss,
    ) -> Result<StepMetrics, TrainFailure> {
        let _span = trace_span!("step").entered();
        self.timings = Timings::default();
        let mut tally = std::mem::take(&mut self.tally);
        tally.clear();
        // What the first part finds in the gradients is the last step's.
        let mut write = Write::Overwrite;
        for (i, part) in pairs.chunks(self.pairs_per_pass).enumerate() {
            let first = i * self.pairs_per_pass;
            let answer = self.judge(part, first, loss, &mut tally, Some(write))?;
            self.backward(&answer, pairs.len())?;
            write = Write::Accumulate;
        }
        let _span = trace_span!("update").entered();
        let started = Instant::now();
        let learning_rate = self.settings.learning_rate_at(self.step, self.n_steps);
        let former = match self.settings.may_overflow(learning_rate) {
            true => Some(self.trained()?.into_owned()),
            false => None,
        };
        let grad_norm = match (self.update(learning_rate), former) {
            (Err(failure), Some(former)) => {
                let step = self.step;
                self.restore(step - 1, former)?;
                self.step = step;
                return Err(failure);
            }
            (updated, _) => updated?,
        };
        self.timings.optimizer = started.elapsed();
        let pairs = tally.metrics();
        self.tally = tally;
        Ok(StepMetrics { step: self.step, grad_norm, learning_rate, pairs })
    }

    /// What a pass belongs to that a backward pass follows, or none.
    fn moment(&self, learns: Option<Write>) -> Moment {
        match learns {
            Some(_) => Moment::Step(self.step),
            None => Moment::Evaluation(self.step),
        }
    }

    /// Fills `self.pairs` with the batch's log-probs.
    fn forward(
        &mut self,
        pairs: &[&ReferencedPair],
        first: usize,
        learns: Option<Write>,
    ) -> Result<(), TrainFailure> {
        let _span = trace_span!("forward").entered();
        let started = Instant::now();
        self.batch.clear();
        pairs.iter().for_each(|pair| pack(&mut self.batch, &pair.pair));
        self.engine.forward(&self.batch)?;
        if let Some(write) = learns {
            self.engine.expect_backward(write)?;
        }
        self.pairs.clear();
        self.engine.completion_logps(&self.batch, &mut self.logps)?;
        for (row, (pair, policy)) in pairs.iter().zip(self.logps.chunks_exact(2)).enumerate() {
            for (name, &logp) in ["chosen", "rejected"].iter().zip(policy) {
                if !logp.is_finite() {
                    let pair = first + row;
                    let place =
                        format!("the policy's log-prob of the {name} completion of pair {pair}");
                    // Before any update it is no loss's doing.
                    let n_updates = self.step - usize::from(learns.is_some());
                    if n_updates == 0 {
                        let layout = self.engine.decoder().layout();
                        let what = format!("{place} is {logp}");
                        return Err(layout.unusable(&what, &self.engine.weights()?).into());
                    }
                    let rejected = Rejected::non_finite(&place, logp, self.moment(learns));
                    return Err(rejected.about(pair).into());
                }
            }
            self.pairs.policy_chosen_logps.push(policy[0]);
            self.pairs.policy_rejected_logps.push(policy[1]);
            self.pairs.reference_chosen_logps.push(pair.reference.chosen);
            self.pairs.reference_rejected_logps.push(pair.reference.rejected);
            self.pairs.chosen_tokens.push(pair.pair.chosen.len() as u32);
            self.pairs.rejected_tokens.push(pair.pair.rejected.len() as u32);
        }
        self.timings.forward += started.elapsed();
        Ok(())
    }

    /// A part's share of the gradient of the mean over `n_pairs` pairs: every token of a completion gets its
    /// completion's derivative over n.
    fn backward(&mut self, answer: &LossGradients, n_pairs: usize) -> Result<(), Fault> {
        let _span = trace_span!("backward").entered();
        let started = Instant::now();
        let derivatives = answer.policy_chosen.iter().zip(&answer.policy_rejected);
        let per_completion = derivatives.flat_map(|(chosen, rejected)| [chosen, rejected]);
        self.derivatives.clear();
        self.derivatives.extend(per_completion.map(|d| (d / n_pairs as f64) as f32));
        self.engine.backward(&self.batch, &self.derivatives)?;
        self.timings.backward += started.elapsed();
        Ok(())
    }

    /// Updates what is trained by the clipped gradient, and returns the norm before clipping.
    fn update(&mut self, learning_rate: f64) -> Result<f64, TrainFailure> {
        let maximum = self.settings.gradient_norm_max;
        let norm = match &mut self.adapters {
            None => self.engine.gradient_norm(maximum)?,
            Some(AdapterTraining { adapters, .. }) => {
                self.engine.give_gradients(adapters)?;
                clip::global_norm(adapters.gradients())
            }
        };
        if !norm.is_finite() {
            let moment = Moment::Step(self.step);
            return Err(Rejected::non_finite("the norm of the gradient", norm, moment).into());
        }
        self.gradient_scale = clip_factor(norm, maximum);
        let finite = match &mut self.adapters {
            None => self.engine.update(learning_rate)?,
            Some(AdapterTraining { adapters, optimizer }) => {
                let (parameters, gradients) = adapters.trainable_and_gradient();
                let scale = self.gradient_scale;
                let _ = optimizer.update(parameters, gradients, scale, learning_rate);
                self.engine.form(adapters)?
            }
        };
        match finite {
            true => Ok(norm),
            false => self.check_weights().map(|()| norm),
        }
    }

    fn check_weights(&self) -> Result<(), TrainFailure> {
        let weights = self.engine.weights()?;
        match self.decoder().layout().first_non_finite(&weights) {
            None => Ok(()),
            Some((tensor, weight)) => {
                let moment = Moment::Step(self.step);
                Err(Rejected::non_finite(&tensor.name, f64::from(weight), moment).into())
            }
        }
    }
}

/// What has been said about pairs so far.
#[derive(Debug, Default)]
pub struct Tally {
    losses: Vec<f64>,
    rewards_chosen: Vec<f64>,
    rewards_rejected: Vec<f64>,
    logps_chosen: Vec<f64>,
    logps_rejected: Vec<f64>,
    tokens: Option<TokenTally>,
}

impl Tally {
    /// Whether nothing has been said yet.
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    /// Forgets everything and keeps the memory.
    fn clear(&mut self) {
        let Self { losses, rewards_chosen, rewards_rejected, logps_chosen, logps_rejected, tokens } =
            self;
        for list in [losses, rewards_chosen, rewards_rejected, logps_chosen, logps_rejected] {
            list.clear();
        }
        *tokens = None;
    }

    fn add(&mut self, pairs: &PairBatch, answer: &LossGradients, beta: f64) {
        let reward = |(policy, reference): (&f64, &f64)| beta * (policy - reference);
        let chosen = pairs.policy_chosen_logps.iter().zip(&pairs.reference_chosen_logps);
        let rejected = pairs.policy_rejected_logps.iter().zip(&pairs.reference_rejected_logps);
        self.losses.extend(&answer.losses);
        self.rewards_chosen.extend(chosen.map(reward));
        self.rewards_rejected.extend(rejected.map(reward));
        self.logps_chosen.extend(&pairs.policy_chosen_logps);
        self.logps_rejected.extend(&pairs.policy_rejected_logps);
    }

    /// Means over all pairs, of which there must be one.
    pub fn metrics(&self) -> PairMetrics {
        let rewards = self.rewards_chosen.iter().zip(&self.rewards_rejected);
        let n_right = rewards.filter(|(chosen, rejected)| chosen > rejected).count();
        let (rewards_chosen, rewards_rejected) =
            (mean(&self.rewards_chosen), mean(&self.rewards_rejected));
        PairMetrics {
            loss: mean(&self.losses),
            rewards_chosen,
            rewards_rejected,
            rewards_accuracies: n_right as f64 / self.losses.len() as f64,
            rewards_margins: rewards_chosen - rewards_rejected,
            logps_chosen: mean(&self.logps_chosen),
            logps_rejected: mean(&self.logps_rejected),
            tokens: self.tokens.as_ref().map(TokenTally::metrics),
        }
    }
}
