//! One training step: forward, log-probs, loss, backward, clipping, AdamW.
//!
//! The loss stands between two halves of the step: it is asked once per batch for the derivative of its sum by
//! each pair's log-probs; divided by the number of pairs, these flow back through every token of a completion
//! alike. A number that is not finite anywhere on the way is the loss's fault and ends the run.
//! Not here: which pairs come next and when to stop (`train`, `task`).

use std::sync::Arc;

use kernels::clip;
use serde::Serialize;

use crate::batch::Packed;
use crate::fault::TrainFailure;
use crate::loss::{LossGradients, PairBatch, PreferenceLoss, Rejected, checked};
use crate::model::{Activations, Decoder, Model};
use crate::optimizer::{Optimizer, OptimizerSettings};
use crate::pairs::{ReferencedPair, pack, summed_logps};
use crate::stats::mean;

/// A policy in training and all that a step needs; buffers are reused from step to step.
#[derive(Debug)]
pub struct Trainer {
    decoder: Arc<Decoder>,
    weights: Vec<f32>,
    gradients: Vec<f32>,
    optimizer: Optimizer,
    settings: OptimizerSettings,
    n_steps: usize,
    /// Steps done.
    step: usize,
    batch: Packed,
    activations: Activations,
    pairs: PairBatch,
    /// Per completion token.
    dlogps: Vec<f32>,
}

/// What a step did, under TRL's names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepMetrics {
    /// The step, counted from 1.
    pub step: usize,
    /// Mean loss of the batch's pairs, before the update.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The step's learning rate.
    pub learning_rate: f64,
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
}

/// β of the rewards in [`StepMetrics`]: TRL's default. A loss keeps its own to itself.
pub const REWARD_BETA: f64 = 0.1;

impl Trainer {
    /// A policy that begins as `model`, for a run of `n_steps`.
    pub fn new(model: &Model, settings: OptimizerSettings, n_steps: usize) -> Self {
        let layout = model.decoder.layout();
        Self {
            decoder: model.decoder.clone(),
            weights: model.weights.clone(),
            gradients: vec![0.0; layout.len()],
            optimizer: Optimizer::new(settings.clone(), layout),
            settings,
            n_steps,
            step: 0,
            batch: Packed::default(),
            activations: Activations::default(),
            pairs: PairBatch::default(),
            dlogps: Vec::new(),
        }
    }

    /// The policy's weights.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The gradient of the last step's mean loss, clipped if the settings say so.
    pub fn gradients(&self) -> &[f32] {
        &self.gradients
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
        self.forward(pairs)?;
        let answer = checked(loss.evaluate(&self.pairs)?, pairs.len(), self.step)?;
        let grad_norm = self.backward(&answer)?;
        let learning_rate = self.settings.learning_rate_at(self.step, self.n_steps);
        self.optimizer.update(&mut self.weights, &self.gradients, learning_rate);
        self.check_weights()?;
        Ok(self.metrics(&answer, grad_norm, learning_rate))
    }

    /// Fills `self.pairs` with the batch's log-probs.
    fn forward(&mut self, pairs: &[&ReferencedPair]) -> Result<(), Rejected> {
        self.batch.clear();
        pairs.iter().for_each(|pair| pack(&mut self.batch, &pair.pair));
        self.decoder.forward(&self.weights, &self.batch, &mut self.activations);
        self.pairs.clear();
        let policy = summed_logps(&self.batch, &self.activations.token_logps);
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
        Ok(())
    }

    /// Fills `self.gradients` and returns their norm before clipping.
    fn backward(&mut self, answer: &LossGradients) -> Result<f64, Rejected> {
        self.spread_over_tokens(answer);
        self.gradients.fill(0.0);
        self.decoder.backward(
            &mut self.gradients,
            &self.weights,
            &self.batch,
            &mut self.activations,
            &self.dlogps,
        );
        let norm = clip::global_norm(&self.gradients);
        if !norm.is_finite() {
            return Err(Rejected::non_finite("the norm of the gradient", norm, self.step));
        }
        if let Some(maximum) = self.settings.gradient_norm_max.filter(|maximum| norm > *maximum) {
            clip::scale(&mut self.gradients, (maximum / norm) as f32);
        }
        Ok(norm)
    }

    /// d(mean loss)/d(token log-prob): every token of a completion gets its completion's derivative over n pairs.
    fn spread_over_tokens(&mut self, answer: &LossGradients) {
        let n_pairs = self.pairs.len() as f64;
        self.dlogps.resize(self.batch.targets.len(), 0.0);
        let derivatives = answer.policy_chosen.iter().zip(&answer.policy_rejected);
        let per_completion = derivatives.flat_map(|(chosen, rejected)| [chosen, rejected]);
        for (tokens, derivative) in self.batch.completions.iter().zip(per_completion) {
            self.dlogps[tokens.clone()].fill((derivative / n_pairs) as f32);
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

    fn metrics(&self, answer: &LossGradients, grad_norm: f64, learning_rate: f64) -> StepMetrics {
        let pairs = &self.pairs;
        let reward = |policy: &[f64], reference: &[f64]| -> Vec<f64> {
            policy
                .iter()
                .zip(reference)
                .map(|(policy, reference)| REWARD_BETA * (policy - reference))
                .collect()
        };
        let chosen = reward(&pairs.policy_chosen_logps, &pairs.reference_chosen_logps);
        let rejected = reward(&pairs.policy_rejected_logps, &pairs.reference_rejected_logps);
        let n_right =
            chosen.iter().zip(&rejected).filter(|(chosen, rejected)| chosen > rejected).count();
        StepMetrics {
            step: self.step,
            loss: mean(&answer.losses),
            grad_norm,
            learning_rate,
            rewards_chosen: mean(&chosen),
            rewards_rejected: mean(&rejected),
            rewards_accuracies: n_right as f64 / pairs.len() as f64,
            rewards_margins: mean(&chosen) - mean(&rejected),
            logps_chosen: mean(&pairs.policy_chosen_logps),
            logps_rejected: mean(&pairs.policy_rejected_logps),
        }
    }
}
