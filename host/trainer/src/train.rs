//! Fine-tuning a model on preference pairs: which pairs come next, and when to stop.
//!
//! Pairs are visited in a random order that depends on the seed alone, every pair once before any comes again.
//! After each step the caller sees the metrics and the policy and may end the run. Not here: one step's
//! arithmetic (`step`), evaluation (`task`).

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::data::{Order, Position, Rows};
use crate::fault::{Fault, TrainFailure};
use crate::loss::PreferenceLoss;
use crate::model::Model;
use crate::optimizer::OptimizerSettings;
use crate::pairs::ReferencedPair;
use crate::step::{StepMetrics, Trainer};

/// How long, how much at a time, and with which optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Most steps.
    pub n_steps: usize,
    /// Pairs of one step.
    pub pairs_per_step: usize,
    /// The update.
    pub optimizer: OptimizerSettings,
}

impl TrainSettings {
    /// Refuses what no run could be done with.
    pub fn check(&self) -> Result<(), Fault> {
        if self.n_steps == 0 || self.pairs_per_step == 0 {
            return Err(Fault::settings(
                format!(
                    "expected at least one step of at least one pair, got {} of {}",
                    self.n_steps, self.pairs_per_step
                ),
                "set both to 1 or more",
            ));
        }
        self.optimizer.check()
    }
}

/// Trains from `model` and returns the policy. `after_step` may end the run early by [`ControlFlow::Break`].
pub fn train(
    model: &Model,
    pairs: &[ReferencedPair],
    settings: &TrainSettings,
    seed: u64,
    loss: &mut dyn PreferenceLoss,
    mut after_step: impl FnMut(&StepMetrics, &[f32]) -> Result<ControlFlow<()>, TrainFailure>,
) -> Result<Model, TrainFailure> {
    settings.check()?;
    if pairs.is_empty() {
        return Err(
            Fault::settings("there are no pairs to train on", "give at least one pair").into()
        );
    }
    let mut trainer = Trainer::new(model.clone(), settings.optimizer.clone(), settings.n_steps);
    let mut order = Rows::new(Order::Shuffled { seed }, pairs.len(), Position::default());
    let mut batch = Vec::with_capacity(settings.pairs_per_step);
    for _ in 0..settings.n_steps {
        batch.clear();
        let drawn = (0..settings.pairs_per_step).filter_map(|_| order.next());
        batch.extend(drawn.map(|index| &pairs[index]));
        let metrics = trainer.step(&batch, loss)?;
        if after_step(&metrics, &trainer.weights()?)?.is_break() {
            break;
        }
    }
    Ok(trainer.into_model()?)
}
