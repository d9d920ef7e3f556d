//! Fitness: the mean gain in reward along the way, per nat that the policy moves from its base.
//!
//! With k = KL(policy‖base) in nats per completion and r(k) the mean reward,
//! fitness = (1/K) ∫₀ᴷ (r(k) − r₀) dk, where r is linear between the evaluation points sorted by k, starts at
//! (0, r₀) and is flat beyond the last. A loss that does nothing has fitness 0, one that pushes the wrong way is
//! negative, and one that merely takes larger steps runs along the same curve and gains little.
//! Not here: how k and r are measured (`sentiment::evaluate`).

use serde::{Deserialize, Serialize};

use crate::stats::{mean, t_interval_95};

/// Where a policy stands at one step of its training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryPoint {
    /// Training steps done.
    pub step: usize,
    /// KL(policy‖base) in nats per completion.
    pub kl: f64,
    /// Standard error of `kl` over prompts.
    pub kl_error: f64,
    /// Mean reward.
    pub reward: f64,
    /// Standard error of `reward` over prompts.
    pub reward_error: f64,
}

/// What one seed's training gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// The area under the trajectory.
    pub fitness: f64,
    /// Lower end of the 95 % bootstrap interval of `fitness` over prompts.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Mean reward of the base on this seed's draws, r₀.
    pub base_reward: f64,
    /// The trajectory, in the order of training.
    pub points: Vec<TrajectoryPoint>,
    /// Prompts that each point was measured on.
    pub n_prompts: usize,
}

/// A loss's fitness over several seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fitness {
    /// Mean over seeds.
    pub mean: f64,
    /// Lower end of the 95 % interval: Student's t over seeds, or the bootstrap over prompts for a single seed.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Number of seeds.
    pub n: usize,
    /// Mean reward at the end of the trajectories.
    pub reward: f64,
    /// Mean KL at the end of the trajectories, nats per completion.
    pub kl: f64,
}

impl Fitness {
    /// Summarises at least one seed.
    ///
    /// # Panics
    /// If there is none.
    pub fn over_seeds(results: &[SeedResult]) -> Self {
        assert!(!results.is_empty(), "a fitness needs at least one seed");
        let values: Vec<f64> = results.iter().map(|result| result.fitness).collect();
        let (low, high) = match results {
            [only] => (only.low, only.high),
            _ => t_interval_95(&values),
        };
        let mean_of =
            |read: fn(&SeedResult) -> f64| mean(&results.iter().map(read).collect::<Vec<_>>());
        let reward =
            mean_of(|result| result.points.last().map_or(result.base_reward, |point| point.reward));
        let kl = mean_of(|result| result.points.last().map_or(0.0, |point| point.kl));
        Self { mean: mean(&values), low, high, n: results.len(), reward, kl }
    }
}

/// (1/K) ∫₀ᴷ (r(k) − r₀) dk through the points `(k, r)`, in any order.
pub fn mean_gain(base_reward: f64, points: &[(f64, f64)], kl_budget: f64) -> f64 {
    let mut curve = vec![(0.0, 0.0)];
    curve.extend(points.iter().map(|(k, r)| (k.max(0.0), r - base_reward)));
    curve.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (last_k, last_gain) = curve[curve.len() - 1];
    let within: f64 = curve.windows(2).map(|ends| area_below(ends[0], ends[1], kl_budget)).sum();
    (within + last_gain * (kl_budget - last_k).max(0.0)) / kl_budget
}

/// The area under the line from `from` to `to`, as far as it lies below `limit`.
fn area_below(from: (f64, f64), to: (f64, f64), limit: f64) -> f64 {
    let width = to.0.min(limit) - from.0;
    if width <= 0.0 {
        return 0.0;
    }
    let gain_at_end = from.1 + (to.1 - from.1) * width / (to.0 - from.0);
    0.5 * (from.1 + gain_at_end) * width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base_reward: f64, points: &[(f64, f64)], kl_budget: f64, expected: f64) {
        let got = mean_gain(base_reward, points, kl_budget);
        assert!((got - expected).abs() < 1e-12, "expected {expected}, got {got}");
    }

    #[test]
    fn no_points_and_no_movement_gain_nothing() {
        check(-0.03, &[], 4.0, 0.0);
        check(-0.03, &[(0.0, -0.03), (0.0, -0.03)], 4.0, 0.0);
    }

    /// A straight line r = k from 0 to K has the mean K/2.
    #[test]
    fn a_straight_line_has_the_height_of_its_middle() {
        check(0.0, &[(4.0, 4.0)], 4.0, 2.0);
        check(1.0, &[(1.0, 2.0), (2.0, 3.0), (4.0, 5.0)], 4.0, 2.0);
    }

    /// To (1, 1) a triangle of ½, then flat for 3: 3.5 over 4.
    #[test]
    fn beyond_the_last_point_the_gain_stays() {
        check(0.0, &[(1.0, 1.0)], 4.0, 3.5 / 4.0);
    }

    /// From (2, 1) to (6, 3) the line passes (4, 2): 1 + 3 over 4.
    #[test]
    fn what_lies_beyond_the_budget_does_not_count() {
        check(0.0, &[(2.0, 1.0), (6.0, 3.0)], 4.0, 1.0);
        check(0.0, &[(2.0, 1.0), (6.0, 3.0), (9.0, -50.0)], 4.0, 1.0);
        check(0.0, &[(8.0, 8.0)], 4.0, 2.0);
    }

    #[test]
    fn points_count_by_their_kl_and_not_by_their_step() {
        check(0.0, &[(4.0, 5.0), (1.0, 2.0), (2.0, 3.0)], 4.0, (1.0 + 2.5 + 8.0) / 4.0);
    }

    /// Two points at the same k: a jump, which has no area. 0→(2,1) is 1, then (2,3) flat for 2 is 6.
    #[test]
    fn a_jump_has_no_area() {
        check(0.0, &[(2.0, 1.0), (2.0, 3.0)], 4.0, 7.0 / 4.0);
    }

    #[test]
    fn the_wrong_way_is_negative() {
        check(0.0, &[(4.0, -4.0)], 4.0, -2.0);
    }

    fn seed(seed: u64, fitness: f64, last: Option<(f64, f64)>) -> SeedResult {
        let point = |(kl, reward)| TrajectoryPoint {
            step: 1,
            kl,
            kl_error: 0.1,
            reward,
            reward_error: 0.1,
        };
        let points = last.map(point).into_iter().collect();
        SeedResult {
            seed,
            fitness,
            low: fitness - 0.5,
            high: fitness + 0.5,
            base_reward: -1.0,
            points,
            n_prompts: 8,
        }
    }

    /// For 1, 2, 3: mean 2, half-width 4.303/√3.
    #[test]
    fn seeds_are_summarised_with_students_interval() {
        let results =
            [seed(1, 1.0, Some((4.0, 0.5))), seed(2, 2.0, Some((5.0, 1.5))), seed(3, 3.0, None)];
        let fitness = Fitness::over_seeds(&results);
        assert_eq!((fitness.mean, fitness.n, fitness.kl), (2.0, 3, 3.0));
        assert!((fitness.reward - 1.0 / 3.0).abs() < 1e-12);
        assert!((fitness.high - fitness.mean - 4.3027 / 3f64.sqrt()).abs() < 1e-3);
        assert!((fitness.low + fitness.high - 2.0 * fitness.mean).abs() < 1e-12);
    }

    #[test]
    fn a_single_seed_has_the_interval_of_its_prompts() {
        let fitness = Fitness::over_seeds(&[seed(1, 1.0, None)]);
        assert_eq!((fitness.low, fitness.high), (0.5, 1.5));
    }

    #[test]
    fn results_survive_json() {
        let result = seed(1, 0.1 + 0.2, Some((1.0 / 3.0, 2f64.sqrt())));
        let text = serde_json::to_string(&result).expect("JSON");
        assert_eq!(serde_json::from_str::<SeedResult>(&text).expect("a result"), result);
    }
}
