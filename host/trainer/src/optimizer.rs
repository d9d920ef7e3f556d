//! AdamW's state and settings, and how the learning rate changes over the steps.
//!
//! The update itself is `kernels::adamw`. Which tensors decay is a choice: all of them, or matrices only, as
//! Hugging Face's Trainer does. Not here: clipping, which is the step's (`step`).

use kernels::adamw;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::model::Tensor;

/// Which tensors the weight decay pulls towards zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Every tensor.
    All,
    /// Matrices; the weights of norms do not decay.
    Matrices,
}

/// How the learning rate goes on after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays.
    Constant,
    /// Falls linearly to zero at the last step.
    Linear,
    /// Falls to zero along half a cosine.
    Cosine,
}

/// Everything about an update but the gradient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimizerSettings {
    /// The learning rate after the warm-up.
    pub learning_rate: f64,
    /// Decay of the gradient's running mean, β₁.
    pub beta1: f64,
    /// Decay of the squared gradient's running mean, β₂.
    pub beta2: f64,
    /// Added to the denominator, ε.
    pub epsilon: f64,
    /// Decoupled weight decay, λ.
    pub weight_decay: f64,
    /// What decays.
    pub decay: Decay,
    /// Gradients of a larger norm are scaled down to this one; `None` leaves them.
    pub gradient_norm_max: Option<f64>,
    /// Steps over which the learning rate rises linearly from zero.
    pub warmup_steps: usize,
    /// What it does then.
    pub schedule: Schedule,
}

/// TRL's and transformers' defaults for DPO, but a constant rate.
impl Default for OptimizerSettings {
    fn default() -> Self {
        Self {
            learning_rate: 1e-6,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay: Decay::Matrices,
            gradient_norm_max: Some(1.0),
            warmup_steps: 0,
            schedule: Schedule::Constant,
        }
    }
}

impl OptimizerSettings {
    /// The learning rate of a step, counted from 1, of a run of `n_steps`.
    pub fn learning_rate_at(&self, step: usize, n_steps: usize) -> f64 {
        if step <= self.warmup_steps {
            return self.learning_rate * step as f64 / self.warmup_steps as f64;
        }
        let after_warmup = n_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = ((step - 1 - self.warmup_steps) as f64 / after_warmup).min(1.0);
        let factor = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - done,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
        };
        self.learning_rate * factor
    }

    /// Refuses what no update could be computed with.
    pub fn check(&self) -> Result<(), Fault> {
        let ranges = [
            ("learning rate", self.learning_rate, 0.0, f64::MAX),
            ("beta1", self.beta1, 0.0, 1.0f64.next_down()),
            ("beta2", self.beta2, 0.0, 1.0f64.next_down()),
            ("epsilon", self.epsilon, f64::MIN_POSITIVE, f64::MAX),
            ("weight decay", self.weight_decay, 0.0, f64::MAX),
            (
                "gradient norm's maximum",
                self.gradient_norm_max.unwrap_or(1.0),
                f64::MIN_POSITIVE,
                f64::MAX,
            ),
        ];
        match ranges.iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            None => Ok(()),
            Some((name, value, low, high)) => Err(Fault::settings(
                format!("the {name} must lie between {low:e} and {high:e}, got {value:e}"),
                "the defaults are a good place to start",
            )),
        }
    }
}

/// The running means and the number of updates so far.
#[derive(Debug)]
pub struct Optimizer {
    settings: OptimizerSettings,
    groups: Vec<adamw::Group>,
    first: Vec<f32>,
    second: Vec<f32>,
    n_updates: u64,
}

impl Optimizer {
    /// An optimizer before its first update of tensors that lie one behind the other.
    pub fn new(settings: OptimizerSettings, tensors: &[Tensor]) -> Self {
        let groups = groups(&settings, tensors);
        let len = tensors.last().map_or(0, |tensor| tensor.slot.end());
        Self { settings, groups, first: vec![0.0; len], second: vec![0.0; len], n_updates: 0 }
    }

    /// Means of the gradients and of their squares.
    pub fn moments(&self) -> [&[f32]; 2] {
        [&self.first, &self.second]
    }

    /// Goes on after `n_updates` of another optimizer with the same settings.
    pub fn restore(&mut self, n_updates: usize, moments: [Vec<f32>; 2]) {
        self.n_updates = n_updates as u64;
        [self.first, self.second] = moments;
    }

    /// One update of the weights by `gradient_scale` times the gradients, and whether all weights are finite after it.
    #[must_use]
    pub fn update(
        &mut self,
        weights: &mut [f32],
        gradients: &[f32],
        gradient_scale: f32,
        learning_rate: f64,
    ) -> bool {
        self.n_updates += 1;
        let OptimizerSettings { beta1, beta2, epsilon, .. } = self.settings;
        let settings = adamw::Settings { learning_rate, beta1, beta2, epsilon, gradient_scale };
        let moments = adamw::Moments { first: &mut self.first, second: &mut self.second };
        adamw::step(weights, moments, gradients, self.n_updates, &settings, &self.groups)
    }
}

/// Runs of neighbouring tensors with the same weight decay.
fn groups(settings: &OptimizerSettings, tensors: &[Tensor]) -> Vec<adamw::Group> {
    let decays = |tensor: &Tensor| settings.decay == Decay::All || tensor.is_matrix();
    let runs = tensors.chunk_by(|left, right| decays(left) == decays(right));
    runs.map(|run| adamw::Group {
        range: run[0].slot.start..run[run.len() - 1].slot.end(),
        weight_decay: if decays(&run[0]) { settings.weight_decay } else { 0.0 },
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule) -> Vec<f64> {
        let settings = OptimizerSettings {
            learning_rate: 8.0,
            warmup_steps: 4,
            schedule,
            ..Default::default()
        };
        (1..=8).map(|step| settings.learning_rate_at(step, 8)).collect()
    }

    #[test]
    fn rates_rise_linearly_and_then_follow_the_schedule() {
        assert_eq!(rates(Schedule::Constant), [2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0, 8.0]);
        assert_eq!(rates(Schedule::Linear), [2.0, 4.0, 6.0, 8.0, 8.0, 6.0, 4.0, 2.0]);
        let cosine = rates(Schedule::Cosine);
        let expected = [8.0, 4.0 * (1.0 + 0.5f64.sqrt()), 4.0, 4.0 * (1.0 - 0.5f64.sqrt())];
        assert!(
            cosine[4..].iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12),
            "{cosine:?}"
        );
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let settings = OptimizerSettings { beta2: 1.0, ..Default::default() };
        let message = settings.check().expect_err("must be refused").to_string();
        assert!(message.contains("beta2"), "{message}");
        assert!(OptimizerSettings::default().check().is_ok());
    }
}
