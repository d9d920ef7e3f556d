//! Forward mode: a number with its derivatives by the two policy log-probs of one pair.
//!
//! A pair loss has two inputs, so two tangents carried along cost less than any tape. For losses over
//! a batch, see [`Var`](crate::Var).

use core::fmt;

use crate::Scalar;
use crate::scalar::primitive::{Key, Primitive};

/// A number of a `pair` loss: a value, and its derivatives by the policy's log-probs of the chosen and
/// of the rejected completion.
///
/// What it can do stands in [`Scalar`]. It does not give out its bare value.
#[derive(Clone, Copy)]
pub struct Dual {
    value: f64,
    tangents: [f64; 2],
}

impl Dual {
    /// The policy's log-prob of the chosen completion.
    #[inline]
    pub(crate) fn chosen(logp: f64) -> Dual {
        Dual { value: logp, tangents: [1.0, 0.0] }
    }

    /// The policy's log-prob of the rejected completion.
    #[inline]
    pub(crate) fn rejected(logp: f64) -> Dual {
        Dual { value: logp, tangents: [0.0, 1.0] }
    }

    /// The value, and the derivatives by the chosen and the rejected log-prob.
    #[inline]
    pub(crate) fn into_parts(self) -> (f64, [f64; 2]) {
        (self.value, self.tangents)
    }
}

/// A tangent on its way through a function. What an input does not reach, it does not reach through an infinite slope
/// either: 0·∞ would make a gradient NaN where the loss merely overflows.
#[inline]
fn through(tangent: f64, derivative: f64) -> f64 {
    if tangent == 0.0 { 0.0 } else { tangent * derivative }
}

impl Scalar for Dual {}

impl Primitive for Dual {
    #[inline]
    fn value(self, _: Key) -> f64 {
        self.value
    }

    #[inline]
    fn chain(self, value: f64, derivative: f64, _: Key) -> Dual {
        let [chosen, rejected] = self.tangents;
        Dual { value, tangents: [through(chosen, derivative), through(rejected, derivative)] }
    }

    #[inline]
    fn join(self, other: Dual, value: f64, (dx, dy): (f64, f64), _: Key) -> Dual {
        let tangent =
            |input: usize| through(self.tangents[input], dx) + through(other.tangents[input], dy);
        Dual { value, tangents: [tangent(0), tangent(1)] }
    }
}

impl From<f64> for Dual {
    /// A constant.
    #[inline]
    fn from(value: f64) -> Dual {
        Dual { value, tangents: [0.0; 2] }
    }
}

impl fmt::Debug for Dual {
    /// Says what it is and not its value: text would be a way to the bare number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dual").finish_non_exhaustive()
    }
}
