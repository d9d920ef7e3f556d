//! Training with an eye on the way: the policy is judged at given steps, and the way becomes a fitness.
//!
//! Not here: what a judgement measures (`evaluate`), how the way is weighed (`task::fitness`).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::evaluate::{Evaluation, Evaluator};
use super::settings::EvaluationSettings;
use super::{Progress, Sentiment};
use crate::fault::{Fault, TrainFailure};
use crate::loss::{Moment, PreferenceLoss, Rejected};
use crate::model::Model;
use crate::random::{Purpose, Uniforms};
use crate::stats::{bootstrap_95, mean, standard_error};
use crate::task::fitness::{SeedResult, TrajectoryPoint, mean_gain};
use crate::train::train;

impl Sentiment {
    /// Trains a policy and judges it along the way, to the KL budget or to the last step.
    ///
    /// The seed decides the order of the pairs and the luck of the evaluation. The policy is the one that was judged last.
    pub fn train_and_score(
        &self,
        loss: &mut dyn PreferenceLoss,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(SeedResult, Model), TrainFailure> {
        let EvaluationSettings { steps, kl_budget, .. } = &self.settings.evaluation;
        let settings = &self.settings.training;
        let mut evaluator = Evaluator::default();
        let base = self.base_evaluation(&mut evaluator, seed)?;
        let mut trajectory: Vec<(TrajectoryPoint, Evaluation)> = Vec::with_capacity(steps.len());
        let policy = train(&self.base, &self.pairs, settings, seed, loss, |metrics, weights| {
            progress(Progress::Step { metrics: metrics.clone(), n_steps: settings.n_steps });
            if !steps.contains(&metrics.step) {
                return Ok(ControlFlow::Continue(()));
            }
            let evaluation = evaluator.evaluate(self, weights, seed)?;
            let point = point(metrics.step, &evaluation)?;
            progress(Progress::Evaluated(point.clone()));
            let is_spent = point.kl >= *kl_budget;
            trajectory.push((point, evaluation));
            Ok(if is_spent { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok((self.result(seed, &base, trajectory), policy))
    }

    fn base_evaluation(
        &self,
        evaluator: &mut Evaluator,
        seed: u64,
    ) -> Result<Arc<Evaluation>, Fault> {
        let known =
            || self.base_evaluations.lock().expect("no thread panics while it holds this lock");
        if let Some(evaluation) = known().get(&seed) {
            return Ok(evaluation.clone());
        }
        let evaluation = Arc::new(evaluator.evaluate_base(self, seed)?);
        known().insert(seed, evaluation.clone());
        Ok(evaluation)
    }

    fn result(
        &self,
        seed: u64,
        base: &Evaluation,
        trajectory: Vec<(TrajectoryPoint, Evaluation)>,
    ) -> SeedResult {
        let EvaluationSettings { kl_budget, n_resamples, .. } = self.settings.evaluation;
        let fitness = |mean: &dyn Fn(&[f64]) -> f64| {
            let evaluations = trajectory.iter().map(|(_, evaluation)| evaluation);
            let points = evaluations.map(|point| (mean(&point.kls), mean(&point.rewards)));
            mean_gain(mean(&base.rewards), &points.collect::<Vec<_>>(), kl_budget)
        };
        let mut uniforms = Uniforms::new(seed, Purpose::Bootstrap, 0, 0);
        let n_prompts = base.rewards.len();
        let (low, high) = bootstrap_95(n_prompts, n_resamples, &mut uniforms, |prompts| {
            fitness(&|values| mean_over(prompts, values))
        });
        SeedResult {
            seed,
            fitness: fitness(&mean),
            low,
            high,
            base_reward: mean(&base.rewards),
            points: trajectory.into_iter().map(|(point, _)| point).collect(),
            n_prompts,
        }
    }
}

fn mean_over(rows: &[usize], values: &[f64]) -> f64 {
    rows.iter().map(|row| values[*row]).sum::<f64>() / rows.len() as f64
}

/// A point of the trajectory, unless the policy's distributions have broken down.
fn point(step: usize, evaluation: &Evaluation) -> Result<TrajectoryPoint, Rejected> {
    let kl = mean(&evaluation.kls);
    if !kl.is_finite() {
        return Err(Rejected::non_finite(
            "the divergence from the base",
            kl,
            Moment::Evaluation(step),
        ));
    }
    Ok(TrajectoryPoint {
        step,
        kl,
        kl_error: standard_error(&evaluation.kls),
        reward: mean(&evaluation.rewards),
        reward_error: standard_error(&evaluation.rewards),
    })
}
