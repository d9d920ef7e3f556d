//! The fixed inputs: the same for every plugin, on every machine.

use guest_sdk::Pairs;

/// A batch and what it stands for.
pub(super) struct Batch {
    pub(super) name: &'static str,
    pub(super) pairs: Pairs,
}

/// From one pair to a thousand, from equal log-probs to log-ratios of ±1,000 nats.
pub(super) fn batches() -> Vec<Batch> {
    let named = |name, pairs| Batch { name, pairs };
    vec![
        named("one pair", random(1, 1, 5.0)),
        named("equal log-probs", equal()),
        named("realistic pairs", random(64, 2, 8.0)),
        named("near the reference", random(32, 3, 0.05)),
        named("large log-ratios", random(32, 4, 60.0)),
        named("extreme log-ratios", extreme()),
        named("a large batch", random(1024, 5, 12.0)),
    ]
}

/// `n_pairs` pairs whose log-ratios spread by about `spread` nats.
fn random(n_pairs: usize, seed: u64, spread: f64) -> Pairs {
    let mut uniform = uniforms(seed);
    let mut pairs = empty();
    for _ in 0..n_pairs {
        let (reference_chosen, reference_rejected) =
            (-180.0 * uniform() - 1.0, -180.0 * uniform() - 1.0);
        let chosen_logratio = spread * (2.0 * uniform() - 1.0);
        let rejected_logratio = spread * (2.0 * uniform() - 1.0);
        push(
            &mut pairs,
            [
                reference_chosen + chosen_logratio,
                reference_rejected + rejected_logratio,
                reference_chosen,
                reference_rejected,
            ],
            [1 + (60.0 * uniform()) as u32, 1 + (60.0 * uniform()) as u32],
        );
    }
    pairs
}

fn equal() -> Pairs {
    let mut pairs = empty();
    for logps in [
        [-10.0; 4],
        [-20.0, -30.0, -20.0, -30.0],
        [-1e-9; 4],
        [-300.0; 4],
    ] {
        push(&mut pairs, logps, [12, 12]);
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
    let mut pairs = empty();
    for (i, chosen) in logratios.iter().enumerate() {
        for (j, rejected) in logratios.iter().enumerate() {
            let tokens = TOKENS[(i + j) % TOKENS.len()];
            push(
                &mut pairs,
                [-1_500.0 + chosen, -1_400.0 + rejected, -1_500.0, -1_400.0],
                tokens,
            );
        }
    }
    pairs
}

/// Pairs that differ in the margin of the log-ratios alone.
pub(super) fn margins(margins: impl Iterator<Item = f64>) -> Pairs {
    let mut pairs = empty();
    for margin in margins {
        push(
            &mut pairs,
            [-100.0 + margin / 2.0, -100.0 - margin / 2.0, -100.0, -100.0],
            [40, 40],
        );
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

fn push(pairs: &mut Pairs, logps: [f64; 4], tokens: [u32; 2]) {
    pairs.policy_chosen_logps.push(logps[0]);
    pairs.policy_rejected_logps.push(logps[1]);
    pairs.reference_chosen_logps.push(logps[2]);
    pairs.reference_rejected_logps.push(logps[3]);
    pairs.chosen_tokens.push(tokens[0]);
    pairs.rejected_tokens.push(tokens[1]);
}

/// The pairs of these rows, in this order.
pub(super) fn rows(pairs: &Pairs, rows: impl Iterator<Item = usize>) -> Pairs {
    let mut picked = empty();
    for row in rows {
        let logps = [
            pairs.policy_chosen_logps[row],
            pairs.policy_rejected_logps[row],
            pairs.reference_chosen_logps[row],
            pairs.reference_rejected_logps[row],
        ];
        push(
            &mut picked,
            logps,
            [pairs.chosen_tokens[row], pairs.rejected_tokens[row]],
        );
    }
    picked
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
