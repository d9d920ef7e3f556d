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

/// The rate of the first of w steps of a warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmupStart {
    /// 0, as in transformers: the first step moves nothing.
    Zero,
    /// A w-th of the rate, so that no step is lost.
    Share,
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
    /// Steps over which the learning rate rises linearly.
    pub warmup_steps: usize,
    /// Where it begins.
    pub warmup_start: WarmupStart,
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
            warmup_start: WarmupStart::Zero,
            schedule: Schedule::Constant,
        }
    }
}

impl OptimizerSettings {
    /// The learning rate of a step, counted from 1, of a run of `n_steps`: with k steps done and w of warm-up, lr·k/w
    /// for k < w, and then lr times the schedule's factor at (k − w)/(n − w), as transformers has it.
    pub fn learning_rate_at(&self, step: usize, n_steps: usize) -> f64 {
        let n_done = step - 1;
        if n_done < self.warmup_steps {
            let shares = match self.warmup_start {
                WarmupStart::Zero => n_done,
                WarmupStart::Share => step,
            };
            return self.learning_rate * shares as f64 / self.warmup_steps as f64;
        }
        let after_warmup = n_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = ((n_done - self.warmup_steps) as f64 / after_warmup).min(1.0);
        let factor = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - done,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
        };
        self.learning_rate * factor
    }

    /// Whether an update may take weights out of the range of `f32`. Its size is at most a few times the rate, so with rates
    /// below 10¹⁰ and a decay that makes no weight larger it would take more than 10²⁰ steps.
    pub(crate) fn may_overflow(&self, learning_rate: f64) -> bool {
        learning_rate > 1e10 || learning_rate * self.weight_decay > 2.0
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

    /// Lets the running means go: there will be no update.
    pub fn forget(&mut self) {
        (self.first, self.second) = (Vec::new(), Vec::new());
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
        let settings = adamw::Settings { learning_rate, beta1, beta2, epsilon };
        let moments = adamw::Moments { first: &mut self.first, second: &mut self.second };
        let (step, groups) = (self.n_updates, &self.groups);
        adamw::step(weights, moments, gradients, gradient_scale, step, &settings, groups)
    }
}

/// Runs of neighbouring tensors with the same weight decay.
pub(crate) fn groups(settings: &OptimizerSettings, tensors: &[Tensor]) -> Vec<adamw::Group> {
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

    fn rates(schedule: Schedule, warmup_steps: usize, warmup_start: WarmupStart) -> Vec<f64> {
        let learning_rate = 8.0;
        let settings = OptimizerSettings {
            learning_rate,
            warmup_steps,
            warmup_start,
            schedule,
            ..Default::default()
        };
        (1..=8).map(|step| settings.learning_rate_at(step, 8)).collect()
    }

    #[track_caller]
    fn check_rates(schedule: Schedule, warmup_steps: usize, expected: [f64; 8]) {
        let got = rates(schedule, warmup_steps, WarmupStart::Zero);
        let same = |(got, expected): (&f64, f64)| (got - expected).abs() < 1e-13;
        assert!(got.iter().zip(expected).all(same), "{got:?} and not {expected:?}");
    }

    /// From the lambdas in transformers/optimization.py, 5.24, times 8.
    #[test]
    fn rates_are_those_of_transformers() {
        check_rates(Schedule::Constant, 4, [0.0, 2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0]);
        check_rates(Schedule::Linear, 4, [0.0, 2.0, 4.0, 6.0, 8.0, 6.0, 4.0, 2.0]);
        check_rates(Schedule::Linear, 0, [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        check_rates(Schedule::Linear, 3, [0.0, 8.0 / 3.0, 16.0 / 3.0, 8.0, 6.4, 4.8, 3.2, 1.6]);
        let [a, b] = [6.82842712474619, 1.1715728752538102];
        check_rates(Schedule::Cosine, 4, [0.0, 2.0, 4.0, 6.0, 8.0, a, 4.0, b]);
        let [a, b, c, d] =
            [7.695518130045147, 5.530733729460359, 2.469266270539641, 0.30448186995485305];
        check_rates(
            Schedule::Cosine,
            0,
            [8.0, a, 6.82842712474619, b, 4.0, c, 1.1715728752538102, d],
        );
        // A warm-up as long as the run, and a longer one.
        check_rates(Schedule::Linear, 8, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        check_rates(Schedule::Cosine, 16, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]);
    }

    #[test]
    fn a_warm_up_that_begins_with_a_share_is_one_step_ahead() {
        let ahead = rates(Schedule::Linear, 4, WarmupStart::Share);
        assert_eq!(ahead, [2.0, 4.0, 6.0, 8.0, 8.0, 6.0, 4.0, 2.0]);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let settings = OptimizerSettings { beta2: 1.0, ..Default::default() };
        let message = settings.check().expect_err("must be refused").to_string();
        assert!(message.contains("beta2"), "{message}");
        assert!(OptimizerSettings::default().check().is_ok());
    }
}
