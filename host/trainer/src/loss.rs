//! The seam between a training step and a preference loss.
//!
//! A loss sees numbers per preference pair, never tensors, text or weights, and answers with one loss
//! and two derivatives per pair. The trainer does not care whether a closure, a plugin in a sandbox or
//! a test stands behind [`PreferenceLoss`]; what comes back is an allegation until `checked` has
//! counted it and found it finite.
//!
//! Not here: how the log-probs come about (`engine`), how the derivatives reach the weights (`step`).

use serde::{Deserialize, Serialize};

/// A batch of preference pairs: row `i` of every list belongs to pair `i`.
///
/// A log-prob is the sum over the completion's tokens of ln p(token | what comes before), in nats.
/// The field names are those of the plugin contract.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PairBatch {
    /// Log-prob of the chosen completion under the policy in training.
    pub policy_chosen_logps: Vec<f64>,
    /// Log-prob of the rejected completion under the policy in training.
    pub policy_rejected_logps: Vec<f64>,
    /// Log-prob of the chosen completion under the frozen reference.
    pub reference_chosen_logps: Vec<f64>,
    /// Log-prob of the rejected completion under the frozen reference.
    pub reference_rejected_logps: Vec<f64>,
    /// Tokens of the chosen completion, at least 1.
    pub chosen_tokens: Vec<u32>,
    /// Tokens of the rejected completion, at least 1.
    pub rejected_tokens: Vec<u32>,
}

impl PairBatch {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.policy_chosen_logps.len()
    }

    /// Whether the batch holds no pair.
    pub fn is_empty(&self) -> bool {
        self.policy_chosen_logps.is_empty()
    }

    /// Forgets the pairs and keeps the memory.
    pub fn clear(&mut self) {
        self.policy_chosen_logps.clear();
        self.policy_rejected_logps.clear();
        self.reference_chosen_logps.clear();
        self.reference_rejected_logps.clear();
        self.chosen_tokens.clear();
        self.rejected_tokens.clear();
    }
}

/// A loss's answer: one entry per pair in every list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossGradients {
    /// The loss of each pair.
    pub losses: Vec<f64>,
    /// d(sum of `losses`) / d(`policy_chosen_logps[i]`); the trainer divides by the number of pairs.
    pub policy_chosen: Vec<f64>,
    /// d(sum of `losses`) / d(`policy_rejected_logps[i]`).
    pub policy_rejected: Vec<f64>,
}

/// Something that scores preference pairs. The same pairs must give the same bits.
pub trait PreferenceLoss {
    /// Losses and gradients of a batch.
    fn evaluate(&mut self, pairs: &PairBatch) -> Result<LossGradients, LossFailure>;
}

impl<F> PreferenceLoss for F
where
    F: FnMut(&PairBatch) -> Result<LossGradients, LossFailure>,
{
    fn evaluate(&mut self, pairs: &PairBatch) -> Result<LossGradients, LossFailure> {
        self(pairs)
    }
}

/// What training itself rejects a loss by: a rule's name, and what it forbids.
pub const RULES: [(&str, &str); 2] = [NON_FINITE, WRONG_LENGTH];

const NON_FINITE: (&str, &str) =
    ("train/non-finite", "losses, gradients and weights that become NaN or infinite in training");
const WRONG_LENGTH: (&str, &str) =
    ("train/wrong-length", "answers in training with more or fewer numbers than there are pairs");

/// The loss is at fault: which rule it broke, how, and what would help. Data, not an `Error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The rule's name, such as `train/non-finite`.
    pub rule: String,
    /// What happened, with the numbers.
    pub message: String,
    /// What to try instead.
    pub hint: String,
}

impl Rejected {
    /// A number that is NaN or infinite, found in `place` (such as "the loss of pair 3").
    pub(crate) fn non_finite(place: &str, value: f64, step: usize) -> Self {
        Self {
            rule: NON_FINITE.0.into(),
            message: format!("{place} became {value} at training step {step}"),
            hint: "keep values and slopes bounded: use log_sigmoid, softplus or a clamp in place of exp and ln".into(),
        }
    }

    fn wrong_length(list: &str, expected: usize, got: usize) -> Self {
        Self {
            rule: WRONG_LENGTH.0.into(),
            message: format!(
                "`{list}` has the wrong length: expected {expected} numbers, got {got}"
            ),
            hint: "return one loss and two derivatives for every pair of the batch".into(),
        }
    }
}

/// Why a loss gave no answer.
#[derive(Debug)]
pub enum LossFailure {
    /// The loss's own fault (a trap, no fuel left, a wrong length).
    Rejected(Rejected),
    /// The fault of what runs the loss (its process could not be started, the pipe broke).
    Fault(Box<dyn std::error::Error + Send + Sync>),
}

/// The answer, if it has one finite number per pair in every list.
///
/// `step` is the training step that the message names.
pub(crate) fn checked(
    answer: LossGradients,
    n_pairs: usize,
    step: usize,
) -> Result<LossGradients, Rejected> {
    let lists = [
        ("losses", "the loss", &answer.losses),
        ("policy_chosen", "the derivative by the chosen log-prob", &answer.policy_chosen),
        ("policy_rejected", "the derivative by the rejected log-prob", &answer.policy_rejected),
    ];
    for (name, meaning, values) in lists {
        if values.len() != n_pairs {
            return Err(Rejected::wrong_length(name, n_pairs, values.len()));
        }
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            return Err(Rejected::non_finite(
                &format!("{meaning} of pair {row}"),
                values[row],
                step,
            ));
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(losses: &[f64], chosen: &[f64], rejected: &[f64]) -> LossGradients {
        LossGradients {
            losses: losses.to_vec(),
            policy_chosen: chosen.to_vec(),
            policy_rejected: rejected.to_vec(),
        }
    }

    #[test]
    fn an_answer_of_the_wrong_length_is_rejected_with_both_numbers() {
        let rejected = checked(answer(&[1.0, 2.0], &[0.0; 2], &[0.0; 3]), 2, 7)
            .expect_err("three derivatives for two pairs");
        assert_eq!(rejected.rule, "train/wrong-length");
        assert!(rejected.message.contains("expected 2 numbers, got 3"), "{}", rejected.message);
    }

    #[test]
    fn a_nan_is_rejected_by_name_row_and_step() {
        let rejected =
            checked(answer(&[1.0, 2.0], &[0.0, f64::NAN], &[0.0; 2]), 2, 7).expect_err("a NaN");
        assert_eq!(rejected.rule, "train/non-finite");
        assert_eq!(
            rejected.message,
            "the derivative by the chosen log-prob of pair 1 became NaN at training step 7"
        );
    }

    #[test]
    fn a_whole_and_finite_answer_passes_unchanged() {
        let whole = answer(&[1.0], &[-0.5], &[0.5]);
        assert_eq!(checked(whole.clone(), 1, 0), Ok(whole));
    }
}
