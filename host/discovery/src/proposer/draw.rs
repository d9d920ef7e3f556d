//! Random draws that are a function of what they are for: the run's seed and the proposal's number.
//!
//! The generator is ChaCha with 8 rounds, keyed by both. No draw depends on time or on what was drawn for another
//! proposal.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The draws of one proposal.
#[derive(Debug)]
pub(super) struct Draws(ChaCha8Rng);

impl Draws {
    pub(super) fn of(seed: u64, proposal: usize) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(proposal as u64).to_le_bytes());
        key[16..].copy_from_slice(b"lossbox proposal");
        Draws(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in 0..1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number in 0..`n`, which is at least 1.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n - 1)
    }

    /// One of these, of which there is at least one.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// An index, in proportion to its weight.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_and_proposal_alone() {
        let first = |seed, proposal| Draws::of(seed, proposal).unit();
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(2, 2));
        assert_ne!(first(1, 2), first(1, 3));
    }

    /// 10,000 draws: expected 5,000 and 2,500 of each, within five standard deviations.
    #[test]
    fn weights_are_kept() {
        let mut draws = Draws::of(7, 0);
        let mut counts = [0i32; 3];
        for _ in 0..10_000 {
            counts[draws.weighted(&[2.0, 1.0, 1.0])] += 1;
        }
        assert!((counts[0] - 5_000).abs() < 250 && (counts[1] - 2_500).abs() < 217, "{counts:?}");
        assert_eq!(draws.below(1), 0);
    }
}
