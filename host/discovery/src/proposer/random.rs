//! Fresh draws of the grammar: the control that any search has to beat.
//!
//! It knows the history only to avoid proposing the same function twice.

use super::{History, Proposer, Reply, evolve};
use crate::Fault;

/// Draws from the same expressions as `evolve`, without learning from any result.
#[derive(Debug)]
pub(crate) struct Random {
    seed: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random { seed }
    }
}

impl Proposer for Random {
    fn propose(&mut self, n: usize, history: &History) -> Result<Option<Reply>, Fault> {
        Ok(evolve::fresh("random", self.seed, n, history))
    }
}
