//! Reverse mode: a number on a tape, for losses whose rows share statistics of the batch.
//!
//! Every operation writes one node: which numbers it came from and how strongly they move it. One sweep
//! from the last node to the first then gives the gradient by all log-probs of the batch, at a cost
//! linear in the number of nodes. A tape lives for one evaluation and grows without a limit of its own:
//! the guest's memory is the limit.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use crate::Scalar;
use crate::scalar::primitive::{Key, Primitive};

/// A number of a `batch` loss: a value, and its place on the tape of this evaluation.
///
/// What it can do stands in [`Scalar`]. It does not give out its bare value. Constants made with
/// `Var::from(0.5)` have no place on the tape and cost nothing.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    value: f64,
    origin: Option<Origin<'t>>,
}

/// A node of a tape.
#[derive(Clone, Copy)]
struct Origin<'t> {
    tape: &'t Tape,
    node: usize,
}

/// The record of one evaluation.
pub(crate) struct Tape {
    nodes: RefCell<Vec<Node>>,
}

/// The derivative of a node by each of the two nodes it came from.
struct Node {
    parents: [usize; 2],
    derivatives: [f64; 2],
}

/// Stands for a parent that a node does not have.
const NOBODY: usize = usize::MAX;

impl Tape {
    pub(crate) fn new() -> Tape {
        Tape { nodes: RefCell::new(Vec::new()) }
    }

    /// A number to differentiate by. Inputs are numbered from 0 in the order of these calls.
    pub(crate) fn input(&self, value: f64) -> Var<'_> {
        self.push(value, Node { parents: [NOBODY; 2], derivatives: [0.0; 2] })
    }

    fn push(&self, value: f64, node: Node) -> Var<'_> {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        Var { value, origin: Some(Origin { tape: self, node: nodes.len() - 1 }) }
    }

    /// The derivative of the sum of `outputs` by every node; the inputs come first.
    ///
    /// A node that does not reach an output is skipped, so an infinite slope on a path not taken (0·∞)
    /// does not turn the gradient into NaN.
    pub(crate) fn gradient(&self, outputs: &[Var<'_>]) -> Vec<f64> {
        let nodes = self.nodes.borrow();
        let mut gradient = vec![0.0; nodes.len()];
        for origin in outputs.iter().filter_map(|output| output.origin) {
            gradient[origin.node] += 1.0;
        }
        for (index, node) in nodes.iter().enumerate().rev() {
            let dy = gradient[index];
            if dy == 0.0 {
                continue;
            }
            for (parent, derivative) in node.parents.into_iter().zip(node.derivatives) {
                if let Some(dx) = gradient.get_mut(parent) {
                    *dx += dy * derivative;
                }
            }
        }
        gradient
    }
}

impl<'t> Var<'t> {
    /// The bare value, for what the evaluation hands back.
    pub(crate) fn into_value(self) -> f64 {
        self.value
    }
}

impl Scalar for Var<'_> {}

impl<'t> Primitive for Var<'t> {
    #[inline]
    fn value(self, _: Key) -> f64 {
        self.value
    }

    #[inline]
    fn chain(self, value: f64, derivative: f64, _: Key) -> Var<'t> {
        match self.origin {
            None => Var::from(value),
            Some(Origin { tape, node }) => {
                tape.push(value, Node { parents: [node, NOBODY], derivatives: [derivative, 0.0] })
            }
        }
    }

    #[inline]
    fn join(self, other: Var<'t>, value: f64, (dx, dy): (f64, f64), key: Key) -> Var<'t> {
        match (self.origin, other.origin) {
            (Some(x), Some(y)) => {
                x.tape.push(value, Node { parents: [x.node, y.node], derivatives: [dx, dy] })
            }
            (Some(_), None) => self.chain(value, dx, key),
            (None, _) => other.chain(value, dy, key),
        }
    }
}

impl From<f64> for Var<'_> {
    /// A constant.
    #[inline]
    fn from(value: f64) -> Self {
        Var { value, origin: None }
    }
}

impl fmt::Debug for Var<'_> {
    /// Says what it is and not its value: text would be a way to the bare number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Var").finish_non_exhaustive()
    }
}
