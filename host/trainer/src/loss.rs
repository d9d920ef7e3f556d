//! The seam between a training step and a preference loss.
//!
//! A loss sees numbers per preference pair, never tensors, text or weights, and answers with one loss
//! and two derivatives per pair. The trainer does not care whether a closure, a plugin in a sandbox or
//! a test stands behind [`PreferenceLoss`]; what comes back is an allegation until `checked` has
//! counted it and found it finite.
//!
//! Not here: how the log-probs come about (`engine`), how the derivatives reach the weights (`step`).

use std::fmt;

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
    /// The pair that it is about, counted from 0 in the batch of the step or of the evaluation.
    #[serde(skip)]
    pub pair: Option<usize>,
}

/// When a loss was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// In a training step, counted from 1.
    Step(usize),
    /// In an evaluation, after so many steps.
    Evaluation(usize),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Moment::Step(step) => write!(f, "at training step {step}"),
            Moment::Evaluation(n_steps) => write!(f, "in the evaluation after step {n_steps}"),
        }
    }
}

impl Rejected {
    /// A number that is NaN or infinite, found in `place` (such as "the norm of the gradient").
    pub(crate) fn non_finite(place: &str, value: f64, moment: Moment) -> Self {
        Self {
            rule: NON_FINITE.0.into(),
            message: format!("{place} became {value} {moment}"),
            pair: None,
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
            pair: None,
        }
    }

    /// It is about this pair of the batch.
    pub(crate) fn about(self, pair: usize) -> Self {
        Self { pair: Some(pair), ..self }
    }

    /// The same, and when it happened.
    fn at(self, moment: Moment) -> Self {
        let (first, rest) =
            self.message.split_at(self.message.find('\n').unwrap_or(self.message.len()));
        Self { message: format!("{first} {moment}{rest}"), ..self }
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

impl LossFailure {
    /// The same, and when it happened.
    pub(crate) fn at(self, moment: Moment) -> Self {
        match self {
            Self::Rejected(rejected) => Self::Rejected(rejected.at(moment)),
            fault => fault,
        }
    }
}

/// The answer about `pairs`, if it has one finite number per pair in every list. Messages count pairs from `first` on.
pub(crate) fn checked(
    answer: LossGradients,
    pairs: &PairBatch,
    first: usize,
    moment: Moment,
) -> Result<LossGradients, Rejected> {
    let lists = [
        ("losses", "the loss", &answer.losses),
        ("policy_chosen", "the derivative by the chosen log-prob", &answer.policy_chosen),
        ("policy_rejected", "the derivative by the rejected log-prob", &answer.policy_rejected),
    ];
    for (name, meaning, values) in lists {
        if values.len() != pairs.len() {
            return Err(Rejected::wrong_length(name, pairs.len(), values.len()).at(moment));
        }
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            let pair = first + row;
            let place = format!("{meaning} of pair {pair} ({})", described(pairs, row));
            return Err(Rejected::non_finite(&place, values[row], moment).about(pair));
        }
    }
    Ok(answer)
}

/// What the loss was told of a pair.
fn described(pairs: &PairBatch, row: usize) -> String {
    let completion = |name, tokens: u32, policy: f64, reference: f64| {
        format!("{name}: {tokens} tokens, log-prob {policy:.3}, by the reference {reference:.3}")
    };
    let chosen = (pairs.policy_chosen_logps[row], pairs.reference_chosen_logps[row]);
    let rejected = (pairs.policy_rejected_logps[row], pairs.reference_rejected_logps[row]);
    let chosen = completion("chosen", pairs.chosen_tokens[row], chosen.0, chosen.1);
    let rejected = completion("rejected", pairs.rejected_tokens[row], rejected.0, rejected.1);
    format!("{chosen}; {rejected}")
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

    fn pairs(n: usize) -> PairBatch {
        PairBatch {
            policy_chosen_logps: vec![-4.5; n],
            policy_rejected_logps: vec![-6.0; n],
            reference_chosen_logps: vec![-5.0; n],
            reference_rejected_logps: vec![-5.25; n],
            chosen_tokens: vec![3; n],
            rejected_tokens: vec![4; n],
        }
    }

    #[test]
    fn an_answer_of_the_wrong_length_is_rejected_with_both_numbers() {
        let answer = answer(&[1.0, 2.0], &[0.0; 2], &[0.0; 3]);
        let rejected = checked(answer, &pairs(2), 0, Moment::Step(7)).expect_err("three for two");
        assert_eq!(rejected.rule, "train/wrong-length");
        assert_eq!(
            rejected.message,
            "`policy_rejected` has the wrong length: expected 2 numbers, got 3 at training step 7"
        );
    }

    #[test]
    fn a_nan_is_rejected_by_name_pair_and_moment() {
        let nan = || answer(&[1.0, 2.0], &[0.0, f64::NAN], &[0.0; 2]);
        let rejected = checked(nan(), &pairs(2), 4, Moment::Step(7)).expect_err("a NaN");
        assert_eq!((rejected.rule.as_str(), rejected.pair), ("train/non-finite", Some(5)));
        assert_eq!(
            rejected.message,
            "the derivative by the chosen log-prob of pair 5 (chosen: 3 tokens, log-prob -4.500, by the reference -5.000; \
             rejected: 4 tokens, log-prob -6.000, by the reference -5.250) became NaN at training step 7"
        );
        let rejected = checked(nan(), &pairs(2), 0, Moment::Evaluation(7)).expect_err("a NaN");
        assert!(rejected.message.ends_with("became NaN in the evaluation after step 7"));
    }

    #[test]
    fn a_trap_says_when_before_its_details() {
        let trap = Rejected {
            rule: "guest/trap".into(),
            message: "trapped\nbacktrace".into(),
            hint: String::new(),
            pair: None,
        };
        assert_eq!(trap.at(Moment::Step(2)).message, "trapped at training step 2\nbacktrace");
    }

    #[test]
    fn a_whole_and_finite_answer_passes_unchanged() {
        let whole = answer(&[1.0], &[-0.5], &[0.5]);
        assert_eq!(checked(whole.clone(), &pairs(1), 0, Moment::Step(1)), Ok(whole));
    }
}
