//! The pairs of one batch, for losses whose rows share statistics.

use alloc::vec::Vec;
use core::ops::Index;
use core::slice::Iter;

use crate::var::Tape;
use crate::{Pair, Pairs, Var};

/// The preference pairs of one batch, in order.
#[derive(Debug)]
pub struct Batch<'t> {
    pairs: Vec<Pair<Var<'t>>>,
}

impl<'t> Batch<'t> {
    /// Puts the policy's log-probs on the tape: those of pair i are inputs 2i and 2i + 1.
    pub(crate) fn new(pairs: &Pairs, tape: &'t Tape) -> Batch<'t> {
        let input = |logp| tape.input(logp);
        let pair = |row| Pair::of_row(pairs, row, input, input);
        Batch { pairs: (0..pairs.len()).map(pair).collect() }
    }

    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The pairs, in order.
    pub fn iter(&self) -> Iter<'_, Pair<Var<'t>>> {
        self.pairs.iter()
    }

    /// One number per pair, in order.
    pub fn map(&self, each: impl FnMut(&Pair<Var<'t>>) -> Var<'t>) -> Vec<Var<'t>> {
        self.iter().map(each).collect()
    }
}

impl<'t> Index<usize> for Batch<'t> {
    type Output = Pair<Var<'t>>;

    fn index(&self, row: usize) -> &Pair<Var<'t>> {
        &self.pairs[row]
    }
}

impl<'b, 't> IntoIterator for &'b Batch<'t> {
    type Item = &'b Pair<Var<'t>>;
    type IntoIter = Iter<'b, Pair<Var<'t>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
