//! Counter-based random numbers: a number is a pure function of what it is for.
//!
//! Every draw is named by (seed, purpose, row, sample, position), so a result depends neither on the
//! order in which work happens nor on batching or threads, and two policies that are asked to continue
//! the same prompt with the same seed meet the same uniforms (common random numbers). The generator is
//! ChaCha with 8 rounds, keyed by the name and counted by the position.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What numbers are drawn for. Streams of different purposes are independent even with the same seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Tokens of the completions that training pairs are made of.
    PairCompletions = 1,
    /// Tokens of the completions that a policy is judged by.
    EvaluationCompletions = 2,
    /// The order in which pairs are trained on.
    PairOrder = 3,
    /// Resamples of a bootstrap.
    Bootstrap = 4,
    /// Tokens of completions that a caller asks for.
    Generation = 5,
    /// Weights before any training.
    Initialisation = 6,
    /// Low-rank adapters before any training.
    Adapters = 7,
}

/// A stream of uniform numbers with a name.
#[derive(Debug, Clone)]
pub struct Uniforms {
    generator: ChaCha8Rng,
}

impl Uniforms {
    /// The stream named by seed, purpose, row (such as a prompt's number) and sample.
    pub fn new(seed: u64, purpose: Purpose, row: u64, sample: u64) -> Self {
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, row, sample]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self { generator: ChaCha8Rng::from_seed(key) }
    }

    /// The next number, uniform in [0, 1) with 53 bits.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless stream of numbers, not an iterator of options"
    )]
    pub fn next(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// The number at `position` of the stream; the stream goes on behind it.
    pub fn at(&mut self, position: u64) -> f64 {
        self.generator.set_word_pos(2 * u128::from(position));
        self.next()
    }

    /// The next number, normal with mean 0 and deviation 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.next(), self.next());
        (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()
    }

    /// A whole number uniform in `0..bound`. The bias is below `bound` / 2⁵³.
    pub fn index_below(&mut self, bound: usize) -> usize {
        (self.next() * bound as f64) as usize
    }

    /// A random order of `0..n` (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.index_below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_depends_on_its_name_alone() {
        let mut in_order = Uniforms::new(7, Purpose::PairOrder, 1, 2);
        let drawn: Vec<f64> = (0..20).map(|_| in_order.next()).collect();
        let mut by_position = Uniforms::new(7, Purpose::PairOrder, 1, 2);
        for position in [19, 0, 7, 8] {
            assert_eq!(by_position.at(position), drawn[position as usize]);
        }
    }

    #[test]
    fn every_part_of_the_name_matters() {
        let first = |seed, purpose, row, sample| Uniforms::new(seed, purpose, row, sample).next();
        let base = first(1, Purpose::PairOrder, 1, 1);
        for other in [
            first(2, Purpose::PairOrder, 1, 1),
            first(1, Purpose::Bootstrap, 1, 1),
            first(1, Purpose::PairOrder, 2, 1),
            first(1, Purpose::PairOrder, 1, 2),
        ] {
            assert_ne!(base, other);
        }
    }

    /// Mean 1/2 and variance 1/12, each within five standard errors.
    #[test]
    fn numbers_are_uniform() {
        let mut uniforms = Uniforms::new(3, Purpose::Generation, 0, 0);
        let drawn: Vec<f64> = (0..10_000).map(|_| uniforms.next()).collect();
        assert!(drawn.iter().all(|value| (0.0..1.0).contains(value)));
        assert!((crate::stats::mean(&drawn) - 0.5).abs() < 5.0 * (1.0f64 / 12.0).sqrt() / 100.0);
        assert!(
            (crate::stats::standard_deviation(&drawn).powi(2) - 1.0 / 12.0).abs()
                < 5.0 * 0.0745 / 100.0
        );
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Uniforms::new(3, Purpose::PairOrder, 0, 0).permutation(100);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.iter().copied().eq(0..100));
    }
}
