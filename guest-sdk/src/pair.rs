//! A preference pair as an author sees it, with helpers in the field's terms.

use crate::{Dual, Pairs, Scalar};

/// One preference pair. Log-probs are sums over the completion's tokens, in nats.
///
/// The policy's log-probs carry gradients; the reference's are plain numbers.
#[derive(Clone, Copy, Debug)]
pub struct Pair<S = Dual> {
    /// ln p(chosen completion) under the policy.
    pub policy_chosen: S,
    /// ln p(rejected completion) under the policy.
    pub policy_rejected: S,
    /// ln p(chosen completion) under the reference.
    pub reference_chosen: f64,
    /// ln p(rejected completion) under the reference.
    pub reference_rejected: f64,
    /// Tokens in the chosen completion, at least 1.
    pub chosen_tokens: u32,
    /// Tokens in the rejected completion, at least 1.
    pub rejected_tokens: u32,
}

impl<S> Pair<S> {
    /// Row `row` of the lists, whose policy's log-probs become numbers with gradients.
    #[inline]
    pub(crate) fn of_row(
        pairs: &Pairs,
        row: usize,
        chosen: impl FnOnce(f64) -> S,
        rejected: impl FnOnce(f64) -> S,
    ) -> Pair<S> {
        Pair {
            policy_chosen: chosen(pairs.policy_chosen_logps[row]),
            policy_rejected: rejected(pairs.policy_rejected_logps[row]),
            reference_chosen: pairs.reference_chosen_logps[row],
            reference_rejected: pairs.reference_rejected_logps[row],
            chosen_tokens: pairs.chosen_tokens[row],
            rejected_tokens: pairs.rejected_tokens[row],
        }
    }
}

impl<S: Scalar> Pair<S> {
    /// Policy minus reference, of the chosen completion.
    #[inline]
    pub fn chosen_logratio(&self) -> S {
        self.policy_chosen - self.reference_chosen
    }

    /// Policy minus reference, of the rejected completion.
    #[inline]
    pub fn rejected_logratio(&self) -> S {
        self.policy_rejected - self.reference_rejected
    }

    /// ρ: chosen logratio minus rejected logratio. Above 0, the policy prefers the chosen completion
    /// more than the reference does.
    #[inline]
    pub fn logratio_margin(&self) -> S {
        self.chosen_logratio() - self.rejected_logratio()
    }

    /// Chosen minus rejected, under the policy.
    #[inline]
    pub fn policy_margin(&self) -> S {
        self.policy_chosen - self.policy_rejected
    }

    /// Chosen minus rejected, under the reference.
    #[inline]
    pub fn reference_margin(&self) -> f64 {
        self.reference_chosen - self.reference_rejected
    }

    /// The implicit reward of the chosen completion: β times its logratio.
    #[inline]
    pub fn chosen_reward(&self, beta: f64) -> S {
        self.chosen_logratio() * beta
    }

    /// The implicit reward of the rejected completion: β times its logratio.
    #[inline]
    pub fn rejected_reward(&self, beta: f64) -> S {
        self.rejected_logratio() * beta
    }

    /// The policy's log-prob of the chosen completion, per token.
    #[inline]
    pub fn chosen_mean_logp(&self) -> S {
        self.policy_chosen / f64::from(self.chosen_tokens)
    }

    /// The policy's log-prob of the rejected completion, per token.
    #[inline]
    pub fn rejected_mean_logp(&self) -> S {
        self.policy_rejected / f64::from(self.rejected_tokens)
    }
}
