//! The contract as Rust types: the records of `wit/loss.wit`, and the trait that a loss implements.
//!
//! The records are the generated ones, so what is tested natively is what crosses the component's
//! boundary. Authors meet none of this: `pair_loss!` and `batch_loss!` implement the trait for them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::bindings::exports::lossbox::preference::loss::Guest;
pub use crate::bindings::exports::lossbox::preference::loss::{
    Gradients, Hyperparameter, Metadata, Pairs, Scope,
};

/// A preference loss: what it is called, and its value and gradient on a batch of pairs.
///
/// It is stateless: the same pairs and hyperparameters give the same bits, always and everywhere.
pub trait PreferenceLoss {
    /// Name, summary, citation, scope and hyperparameters.
    fn describe() -> Metadata;

    /// The loss of each pair, and the gradient of their sum.
    ///
    /// `hyperparameters` has one value per entry of `describe().hyperparameters`, in that order.
    /// The error says what is wrong with the call.
    fn evaluate(pairs: &Pairs, hyperparameters: &[f64]) -> Result<Gradients, String>;
}

impl Pairs {
    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.policy_chosen_logps.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fails unless every list has one entry per pair.
    pub fn check_lengths(&self) -> Result<(), String> {
        let lists = [
            ("policy-rejected-logps", self.policy_rejected_logps.len()),
            ("reference-chosen-logps", self.reference_chosen_logps.len()),
            ("reference-rejected-logps", self.reference_rejected_logps.len()),
            ("chosen-tokens", self.chosen_tokens.len()),
            ("rejected-tokens", self.rejected_tokens.len()),
        ];
        for (name, length) in lists {
            if length != self.len() {
                return Err(format!("expected {} {name}, got {length}", self.len()));
            }
        }
        Ok(())
    }
}

impl Metadata {
    /// The default of every hyperparameter, in order: what `evaluate` takes unless the user sets some.
    pub fn defaults(&self) -> Vec<f64> {
        self.hyperparameters.iter().map(|hyperparameter| hyperparameter.default).collect()
    }
}

/// A loss in the shape that the generated bindings export. `export!` names it; nobody makes one.
#[doc(hidden)]
pub struct Component<L>(PhantomData<L>);

impl<L: PreferenceLoss> Guest for Component<L> {
    fn describe() -> Metadata {
        L::describe()
    }

    fn evaluate(pairs: Pairs, hyperparameters: Vec<f64>) -> Result<Gradients, String> {
        L::evaluate(&pairs, &hyperparameters)
    }
}
