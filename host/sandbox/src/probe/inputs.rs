//! The inputs of the probe: nearly all are the same for every plugin, on every machine.
//!
//! One batch is drawn for the component alone, from its hash: whoever writes a loss that is honest on the inputs of this
//! file only does not know that one. All log-probs are at most 0, as log-probs are.

use std::borrow::Cow;

use guest_sdk::Pairs;

/// A batch and what it stands for.
pub(super) struct Batch {
    pub(super) name: Cow<'static, str>,
    pub(super) pairs: Pairs,
    pub(super) rows: Rows,
}

/// How the rows of a batch lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Drawn as training draws them: log-ratios of one size, completions of every likely length.
    Training,
    /// Drawn: no two tie, and none lies on a kink but by chance.
    Generic,
    /// Chosen, or beyond all training: many tie, lie where formulas bend, or are too large for differences.
    Special,
}

impl Rows {
    /// Whether hardly any row may be without a derivative.
    pub(super) fn are_drawn(self) -> bool {
        !matches!(self, Rows::Special)
    }
}

/// The name of the batch that looks most like training.
pub(super) const REALISTIC: &str = "realistic pairs";
/// Pairs of the largest batch, and its longest completion in tokens.
pub(super) const LARGEST: usize = 4_096;
/// Rows of the largest batch whose log-ratios are of one size, and these sizes in nats.
pub(super) const BLOCK: usize = LARGEST / BLOCK_SPREADS.len();
const BLOCK_SPREADS: [f64; 8] = [12.0, 0.1, 1.0, 3.0, 0.3, 12.0, 2.0, 0.6];

/// From one pair to 4,096, from subnormal log-probs to log-ratios of ±1,000 nats.
pub(super) fn batches(seed: u64) -> Vec<Batch> {
    let batch = |rows| move |name: &'static str, pairs| Batch { name: name.into(), pairs, rows };
    let (training, generic) = (batch(Rows::Training), batch(Rows::Generic));
    let special = batch(Rows::Special);
    vec![
        generic("one pair", random(1, 1, 5.0)),
        special("equal log-probs", equal()),
        special("zeros and subnormals", zeros()),
        training(REALISTIC, random(64, 2, 8.0)),
        generic("near the reference", random(32, 3, 0.05)),
        training("log-ratios of a fifth of a nat", likely(33, 7, 0.2)),
        training("log-ratios of a nat", likely(40, 8, 1.0)),
        training("log-ratios of three nats", likely(24, 9, 3.0)),
        generic("large log-ratios", random(32, 4, 60.0)),
        special("extreme log-ratios", extreme()),
        special("up to 1,000 nats", random(512, seed ^ 10, 1_000.0)),
        generic("every magnitude", magnitudes(512, 6)),
        generic("drawn for this component", magnitudes(256, seed)),
        generic("4,096 pairs", every_length()),
    ]
}

/// A small batch for derivatives by every single entry.
pub(super) fn few(seed: u64, spread: f64) -> Pairs {
    random(6, seed, spread)
}

/// `n_pairs` pairs whose log-ratios spread by about `spread` nats.
fn random(n_pairs: usize, seed: u64, spread: f64) -> Pairs {
    let mut uniform = uniforms(seed);
    let mut pairs = empty();
    for _ in 0..n_pairs {
        let mut completion = || {
            let reference = -180.0 * uniform() - spread - 1.0;
            let logratio = spread * (2.0 * uniform() - 1.0);
            (reference + logratio, reference, 1 + (60.0 * uniform()) as u32)
        };
        push_completions(&mut pairs, completion(), completion());
    }
    pairs
}

/// `n_pairs` pairs as in training: completions from 1 to 600 tokens, as many of 6 to 60 as of 60 to 600, at 0.2 to 3.2 nats
/// a token, and log-ratios up to `spread` nats.
fn likely(n_pairs: usize, seed: u64, spread: f64) -> Pairs {
    let mut uniform = uniforms(seed);
    let mut pairs = empty();
    for _ in 0..n_pairs {
        let mut completion = || {
            let tokens = (600.0_f64.ln() * uniform()).exp().floor();
            let reference = -tokens * (0.2 + 3.0 * uniform()) - spread;
            let logratio = spread * (2.0 * uniform() - 1.0);
            (reference + logratio, reference, tokens as u32)
        };
        push_completions(&mut pairs, completion(), completion());
    }
    pairs
}

/// Log-ratios from a millionth of a nat to a thousand nats, or margins that small between log-ratios that are not;
/// completions from 1 to 2²⁰ tokens.
fn magnitudes(n_pairs: usize, seed: u64) -> Pairs {
    let mut uniform = uniforms(seed);
    let mut pairs = empty();
    for row in 0..n_pairs {
        let mut magnitude = || {
            let sign = if uniform() < 0.5 { -1.0 } else { 1.0 };
            let exponent = (29.0 * uniform()) as i32 - 20;
            sign * (1.0 + 0.95 * uniform()) * 2.0_f64.powi(exponent)
        };
        let (first, second) = (magnitude(), magnitude());
        let common = 16.0 * uniform() - 8.0;
        let (chosen, rejected) = match row % 4 {
            0 => (first, second),
            1 => (common + 0.99 * first, common),
            2 => (common, first),
            _ => (first, common),
        };
        let mut completion = |logratio: f64| {
            let reference = -180.0 * uniform() - logratio.abs() - 1.0;
            let length = 1_u32 << (20.0 * uniform()) as u32;
            (reference + logratio, reference, length + (f64::from(length) * uniform()) as u32)
        };
        push_completions(&mut pairs, completion(chosen), completion(rejected));
    }
    pairs
}

/// 4,096 pairs that have every length from 1 to 4,096 tokens on both sides, in blocks whose log-ratios are of one size.
fn every_length() -> Pairs {
    let mut pairs = empty();
    for (seed, spread) in (50..).zip(BLOCK_SPREADS) {
        let block = random(BLOCK, seed, spread);
        (0..BLOCK).for_each(|row| push_row(&mut pairs, &block, row));
    }
    for row in 0..LARGEST {
        pairs.chosen_tokens[row] = row as u32 + 1;
        // An odd factor makes a permutation of a power of two.
        pairs.rejected_tokens[row] = (row * 2_731 % LARGEST) as u32 + 1;
    }
    pairs
}

fn equal() -> Pairs {
    let mut pairs = empty();
    for logps in [[-10.0; 4], [-20.0, -30.0, -20.0, -30.0], [-1e-9; 4], [-300.0; 4]] {
        push(&mut pairs, logps, [12, 12]);
    }
    pairs
}

/// Log-probs of certain and of nearly certain completions: both zeros, the smallest numbers there are.
fn zeros() -> Pairs {
    let smallest = f64::from_bits(1);
    let values = [0.0, -0.0, -smallest, -1e-310, -f64::MIN_POSITIVE, -1e-30, -1e-9];
    let mut pairs = empty();
    for (i, &policy) in values.iter().enumerate() {
        for (j, &reference) in values.iter().enumerate() {
            let other = values[(i + 3 * j + 1) % values.len()];
            push(&mut pairs, [policy, other, reference, policy], TOKENS[(i + j) % TOKENS.len()]);
        }
    }
    pairs
}

/// Every combination of log-ratios from −1,000 to 1,000, at short and long completions.
fn extreme() -> Pairs {
    // Not symmetric, or every mean would be exactly 0, where statistics have their kinks.
    lattice(&[-1_000.0, -100.0, -1.0, 0.0, 1.5, 120.0, 1_000.0])
}

/// Tokens of chosen and rejected completions, from the shortest there is to longer than any.
const TOKENS: [[u32; 2]; 4] = [[1, 1 << 20], [333, 1], [4_096, 4_096], [1 << 20, 7]];

/// Every combination of these log-ratios, at short and long completions.
pub(super) fn lattice(logratios: &[f64]) -> Pairs {
    let largest = logratios.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    let (chosen_reference, rejected_reference) = (-500.0 - largest, -400.0 - largest);
    let mut pairs = empty();
    for (i, chosen) in logratios.iter().enumerate() {
        for (j, rejected) in logratios.iter().enumerate() {
            push(
                &mut pairs,
                [
                    chosen_reference + chosen,
                    rejected_reference + rejected,
                    chosen_reference,
                    rejected_reference,
                ],
                TOKENS[(i + j) % TOKENS.len()],
            );
        }
    }
    pairs
}

pub(super) fn empty() -> Pairs {
    Pairs {
        policy_chosen_logps: Vec::new(),
        policy_rejected_logps: Vec::new(),
        reference_chosen_logps: Vec::new(),
        reference_rejected_logps: Vec::new(),
        chosen_tokens: Vec::new(),
        rejected_tokens: Vec::new(),
    }
}

/// Each completion as policy log-prob, reference log-prob and tokens.
fn push_completions(pairs: &mut Pairs, chosen: (f64, f64, u32), rejected: (f64, f64, u32)) {
    push(pairs, [chosen.0, rejected.0, chosen.1, rejected.1], [chosen.2, rejected.2]);
}

/// Log-probs: policy chosen, policy rejected, reference chosen, reference rejected.
pub(super) fn push(pairs: &mut Pairs, logps: [f64; 4], tokens: [u32; 2]) {
    pairs.policy_chosen_logps.push(logps[0]);
    pairs.policy_rejected_logps.push(logps[1]);
    pairs.reference_chosen_logps.push(logps[2]);
    pairs.reference_rejected_logps.push(logps[3]);
    pairs.chosen_tokens.push(tokens[0]);
    pairs.rejected_tokens.push(tokens[1]);
}

/// The log-probs of a row, in the order of `push`.
pub(super) fn logps(pairs: &Pairs, row: usize) -> [f64; 4] {
    [
        pairs.policy_chosen_logps[row],
        pairs.policy_rejected_logps[row],
        pairs.reference_chosen_logps[row],
        pairs.reference_rejected_logps[row],
    ]
}

/// The pairs of these rows, in this order.
pub(super) fn rows(pairs: &Pairs, rows: impl IntoIterator<Item = usize>) -> Pairs {
    let mut picked = empty();
    for row in rows {
        push_row(&mut picked, pairs, row);
    }
    picked
}

fn push_row(to: &mut Pairs, from: &Pairs, row: usize) {
    let tokens = [from.chosen_tokens[row], from.rejected_tokens[row]];
    push(to, logps(from, row), tokens);
}

/// SplitMix64 as numbers in [0, 1).
pub(super) fn uniforms(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probs_are_at_most_zero_and_log_ratios_within_a_thousand_nats() {
        for batch in batches(7) {
            for row in 0..batch.pairs.len() {
                let logps = logps(&batch.pairs, row);
                assert!(logps.iter().all(|&logp| logp <= 0.0), "{} {row}", batch.name);
                let logratios = [logps[0] - logps[2], logps[1] - logps[3]];
                assert!(
                    logratios.iter().all(|x| x.abs() <= 1_000.0),
                    "{} {row}: {logratios:?}",
                    batch.name
                );
            }
        }
    }

    #[test]
    fn the_batches_reach_from_one_to_4096_pairs_and_from_1_to_a_million_tokens() {
        let batches = batches(7);
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.pairs.len()).collect();
        assert!(sizes.contains(&1) && sizes.contains(&4_096), "{sizes:?}");
        let tokens = || batches.iter().flat_map(|batch| batch.pairs.chosen_tokens.iter());
        assert_eq!((tokens().min(), tokens().max()), (Some(&1), Some(&(1 << 20))));
    }

    #[test]
    fn the_largest_batch_has_every_length_once_on_each_side() {
        let pairs = every_length();
        for mut tokens in [pairs.chosen_tokens, pairs.rejected_tokens] {
            tokens.sort_unstable();
            assert!(tokens.into_iter().eq(1..=4_096));
        }
    }

    #[test]
    fn another_component_gets_another_draw() {
        let drawn = |seed| {
            let mut batches = batches(seed).into_iter();
            let drawn = batches.find(|batch| batch.name == "drawn for this component");
            drawn.expect("it is one of them")
        };
        assert_ne!(drawn(7).pairs.policy_chosen_logps, drawn(8).pairs.policy_chosen_logps);
    }
}
