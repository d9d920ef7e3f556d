//! One training step: forward, log-probs, loss, backward, clipping, AdamW.
//!
//! The loss stands between two halves of the step: it is asked once per batch for the derivative of its sum by
//! each pair's log-probs; divided by the number of pairs, these flow back through every token of a completion
//! alike. A batch that does not fit into memory is taken in parts whose gradients add up; a loss that looks at one pair at
//! a time does not notice, one that looks at a whole batch sees each part as its batch. A number that is not finite
//! anywhere on the way is the loss's fault and ends the run.
//! Not here: which pairs come next and when to stop (`train`, `task`).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kernels::{Write, clip};
use serde::Serialize;
use tracing::trace_span;

use crate::batch::Packed;
use crate::fault::TrainFailure;
use crate::lora::Adapters;
use crate::loss::{LossGradients, PairBatch, PreferenceLoss, Rejected, checked};
use crate::model::{Activations, Decoder, Keep, Model, Tensor};
use crate::optimizer::{Optimizer, OptimizerSettings};
use crate::pairs::{ReferencedPair, pack, summed_logps};
use crate::stats::mean;
use crate::tokens::{TokenMetrics, TokenTally};

/// A policy in training and all that a step needs; buffers are reused from step to step.
#[derive(Debug)]
pub struct Trainer {
    decoder: Arc<Decoder>,
    weights: Vec<f32>,
    gradients: Vec<f32>,
    /// What clipping multiplied the last step's gradient with.
    gradient_scale: f32,
    optimizer: Optimizer,
    /// What is trained in place of the weights.
    adapters: Option<Adapters>,
    settings: OptimizerSettings,
    n_steps: usize,
    /// Most pairs of one pass.
    pairs_per_pass: usize,
    /// β of the rewards in the metrics.
    reward_beta: f64,
    /// Steps done.
    step: usize,
    batch: Packed,
    activations: Activations,
    pairs: PairBatch,
    /// Of the step that is being made.
    tally: Tally,
    /// Per completion token.
    dlogps: Vec<f32>,
    timings: Timings,
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

impl Trained<&[f32]> {
    fn owned(&self) -> Trained<Vec<f32>> {
        let [parameters, first, second] =
            [self.parameters, self.first, self.second].map(<[f32]>::to_vec);
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
    /// A policy that begins as `model`, for a run of `n_steps`.
    pub fn new(model: Model, settings: OptimizerSettings, n_steps: usize) -> Self {
        let layout = model.decoder.layout();
        Self {
            gradients: vec![0.0; layout.len()],
            gradient_scale: 1.0,
            optimizer: Optimizer::new(settings.clone(), &layout.tensors),
            decoder: model.decoder,
            weights: model.weights,
            adapters: None,
            settings,
            n_steps,
            pairs_per_pass: usize::MAX,
            reward_beta: REWARD_BETA,
            step: 0,
            batch: Packed::default(),
            activations: Activations::default(),
            pairs: PairBatch::default(),
            tally: Tally::default(),
            dlogps: Vec::new(),
            timings: Timings::default(),
        }
    }

    /// The same with less memory: passes of at most `pairs` pairs, and of a pass what `keep` says is kept.
    pub fn with_passes(mut self, pairs: usize, keep: Keep) -> Self {
        assert!(pairs > 0, "a pass needs at least one pair");
        assert_ne!(keep, Keep::Nothing, "training needs a backward pass");
        self.pairs_per_pass = pairs;
        self.activations = Activations::new(keep);
        self
    }

    /// The same, with [`TokenMetrics`] in what it says of pairs, and rewards of this β.
    pub fn with_token_metrics(mut self, reward_beta: f64) -> Self {
        self.activations = self.activations.with_statistics();
        self.reward_beta = reward_beta;
        self
    }

    /// The same, with adapters trained and the weights frozen.
    pub fn with_adapters(mut self, adapters: Adapters) -> Self {
        self.optimizer = Optimizer::new(self.settings.clone(), adapters.tensors());
        self.adapters = Some(adapters);
        self
    }

    /// What is trained in place of the weights.
    pub fn adapters(&self) -> Option<&Adapters> {
        self.adapters.as_ref()
    }

    /// The policy's weights.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The gradient of the last step's mean loss, before clipping.
    pub fn gradients(&self) -> &[f32] {
        &self.gradients
    }

    /// Where the time of the last step went.
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// Steps done.
    pub fn n_steps_done(&self) -> usize {
        self.step
    }

    /// The decoder of the policy.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// What training changes: the weights, or the adapters.
    pub fn trained(&self) -> Trained<&[f32]> {
        let [first, second] = self.optimizer.moments();
        let parameters = self.adapters.as_ref().map_or(&self.weights[..], Adapters::parameters);
        Trained { parameters, first, second }
    }

    /// The tensors of what training changes.
    pub fn trained_tensors(&self) -> &[Tensor] {
        self.adapters.as_ref().map_or(&self.decoder.layout().tensors, Adapters::tensors)
    }

    /// The gradient of the last step by what training changes, clipped if the settings say so.
    pub fn trained_gradients(&self) -> Cow<'_, [f32]> {
        let gradients = self.adapters.as_ref().map_or(&self.gradients[..], Adapters::gradients);
        match self.gradient_scale {
            1.0 => Cow::Borrowed(gradients),
            scale => Cow::Owned(gradients.iter().map(|gradient| scale * gradient).collect()),
        }
    }

    /// Goes on where another trainer stopped after `n_steps_done` steps.
    pub fn restore(&mut self, n_steps_done: usize, trained: Trained<Vec<f32>>) {
        self.step = n_steps_done;
        self.optimizer.restore(n_steps_done, [trained.first, trained.second]);
        match &mut self.adapters {
            None => self.weights = trained.parameters,
            Some(adapters) => {
                adapters.restore(trained.parameters);
                adapters.form(&mut self.weights);
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
        for part in pairs.chunks(self.pairs_per_pass) {
            self.judge(part, loss, tally)?;
        }
        Ok(())
    }

    /// The policy's log-probs of a part, and what the loss says of them.
    fn judge(
        &mut self,
        part: &[&ReferencedPair],
        loss: &mut dyn PreferenceLoss,
        tally: &mut Tally,
    ) -> Result<LossGradients, TrainFailure> {
        self.forward(part)?;
        let answer = trace_span!("loss").in_scope(|| loss.evaluate(&self.pairs))?;
        let answer = checked(answer, part.len(), self.step)?;
        tally.add(&self.pairs, &answer, self.reward_beta);
        if let Some(statistics) = self.activations.token_statistics() {
            tally.tokens.get_or_insert_default().add(&self.batch, statistics);
        }
        Ok(answer)
    }

    /// The trained policy.
    pub fn into_model(self) -> Model {
        Model { decoder: self.decoder, weights: self.weights }
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
        for part in pairs.chunks(self.pairs_per_pass) {
            let answer = self.judge(part, loss, &mut tally)?;
            self.backward(&answer, pairs.len(), write);
            write = Write::Accumulate;
        }
        let _span = trace_span!("update").entered();
        let started = Instant::now();
        let learning_rate = self.settings.learning_rate_at(self.step, self.n_steps);
        let former = self.settings.may_overflow(learning_rate).then(|| self.trained().owned());
        let grad_norm = match (self.update(learning_rate), former) {
            (Err(rejected), Some(former)) => {
                let step = self.step;
                self.restore(step - 1, former);
                self.step = step;
                return Err(rejected.into());
            }
            (updated, _) => updated?,
        };
        self.timings.optimizer = started.elapsed();
        let pairs = tally.metrics();
        self.tally = tally;
        Ok(StepMetrics { step: self.step, grad_norm, learning_rate, pairs })
    }

    /// Fills `self.pairs` with the batch's log-probs.
    fn forward(&mut self, pairs: &[&ReferencedPair]) -> Result<(), Rejected> {
        let _span = trace_span!("forward").entered();
        let started = Instant::now();
        self.batch.clear();
        pairs.iter().for_each(|pair| pack(&mut self.batch, &pair.pair));
        self.decoder.forward(&self.weights, &self.batch, &mut self.activations);
        self.pairs.clear();
        let policy = summed_logps(&self.batch, self.activations.token_logps());
        for (row, (pair, policy)) in pairs.iter().zip(policy).enumerate() {
            for (name, logp) in [("chosen", policy.chosen), ("rejected", policy.rejected)] {
                if !logp.is_finite() {
                    let place =
                        format!("the policy's log-prob of the {name} completion of pair {row}");
                    return Err(Rejected::non_finite(&place, logp, self.step));
                }
            }
            self.pairs.policy_chosen_logps.push(policy.chosen);
            self.pairs.policy_rejected_logps.push(policy.rejected);
            self.pairs.reference_chosen_logps.push(pair.reference.chosen);
            self.pairs.reference_rejected_logps.push(pair.reference.rejected);
            self.pairs.chosen_tokens.push(pair.pair.chosen.len() as u32);
            self.pairs.rejected_tokens.push(pair.pair.rejected.len() as u32);
        }
        self.timings.forward += started.elapsed();
        Ok(())
    }

    /// A part's share of the gradient of the mean over `n_pairs` pairs.
    fn backward(&mut self, answer: &LossGradients, n_pairs: usize, write: Write) {
        let _span = trace_span!("backward").entered();
        let started = Instant::now();
        self.spread_over_tokens(answer, n_pairs as f64);
        self.decoder.backward(
            &mut self.gradients,
            &self.weights,
            &self.batch,
            &mut self.activations,
            &self.dlogps,
            write,
        );
        self.timings.backward += started.elapsed();
    }

    /// d(mean loss)/d(token log-prob): every token of a completion gets its completion's derivative over n pairs.
    fn spread_over_tokens(&mut self, answer: &LossGradients, n_pairs: f64) {
        self.dlogps.resize(self.batch.targets.len(), 0.0);
        let derivatives = answer.policy_chosen.iter().zip(&answer.policy_rejected);
        let per_completion = derivatives.flat_map(|(chosen, rejected)| [chosen, rejected]);
        for (tokens, derivative) in self.batch.completions.iter().zip(per_completion) {
            self.dlogps[tokens.clone()].fill((derivative / n_pairs) as f32);
        }
    }

    /// Updates what is trained by the clipped gradient, and returns the norm before clipping. Two passes over memory: the
    /// norm is not finite where any gradient is not, and the update says whether the weights are.
    fn update(&mut self, learning_rate: f64) -> Result<f64, Rejected> {
        let (parameters, gradients) = match &mut self.adapters {
            None => (&mut self.weights[..], &self.gradients[..]),
            Some(adapters) => {
                adapters.take_gradients(&self.gradients);
                adapters.trainable_and_gradient()
            }
        };
        let norm = clip::global_norm(gradients);
        if !norm.is_finite() {
            return Err(Rejected::non_finite("the norm of the gradient", norm, self.step));
        }
        let exceeded = self.settings.gradient_norm_max.filter(|maximum| norm > *maximum);
        self.gradient_scale = exceeded.map_or(1.0, |maximum| (maximum / norm) as f32);
        let finite =
            self.optimizer.update(parameters, gradients, self.gradient_scale, learning_rate);
        if let Some(adapters) = &mut self.adapters {
            adapters.form(&mut self.weights);
        }
        // What adapters form is not what was updated.
        match finite && self.adapters.is_none() {
            true => Ok(norm),
            false => self.check_weights().map(|()| norm),
        }
    }

    fn check_weights(&self) -> Result<(), Rejected> {
        let Some(element) = self.weights.iter().position(|weight| !weight.is_finite()) else {
            return Ok(());
        };
        let tensor =
            self.decoder.layout().tensor_at(element).map_or("a weight", |tensor| &tensor.name);
        Err(Rejected::non_finite(tensor, f64::from(self.weights[element]), self.step))
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
