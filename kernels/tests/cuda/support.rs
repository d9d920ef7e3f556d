//! Random inputs, comparison, what is said when something is missing.

use kernels::cuda::Real;
use lossbox_kernels as kernels;
use std::io::Write as _;

/// Says what is not tested here and why, whatever the harness captures.
pub(crate) fn skipped(what: &str, why: &str) {
    let line = format!("SKIPPED: {what}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Numbers spread evenly over (−1, 1), rounded to what R stores (SplitMix64, Steele et al. 2014).
pub(crate) fn random<R: Real>(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let number = |bits: u64| ((bits >> 41) as f32 + 0.5) / (1 << 22) as f32 - 1.0;
    (0..n).map(|_| R::from(number(next())).into()).collect()
}

/// Numbers below `limit`.
pub(crate) fn random_ids(n: usize, limit: usize, seed: u64) -> Vec<u32> {
    let ids = random::<f32>(n, seed).into_iter();
    ids.map(|x| ((x + 1.0) / 2.0 * limit as f32) as u32 % limit as u32).collect()
}

/// `n` shapes by chance, the same each time, whose sizes go from 1 to these limits.
pub(crate) fn random_shapes<const N: usize>(n: usize, limits: [usize; N]) -> Vec<[usize; N]> {
    let mut seed = 0;
    let mut size = |limit| {
        seed += 1;
        1 + random_ids(1, limit, seed)[0] as usize
    };
    (0..n).map(|_| limits.map(&mut size)).collect()
}

/// How far a result may be from the CPU's, as a part of the largest magnitude: what f32's sums differ by in another order,
/// or a rounding or two to bf16's 8 bits.
pub(crate) fn tolerance<R: Real>() -> f32 {
    if R::DEFINITION.is_none() { 1e-5 } else { 8e-3 }
}

/// Every element is within `tolerance` of the largest expected magnitude.
#[track_caller]
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}: lengths differ");
    let scale = expected.iter().fold(0.0_f32, |largest, e| largest.max(e.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        // Written so that NaN fails.
        let close = (a - e).abs() <= tolerance * scale;
        assert!(
            close,
            "{what}, element {i}: expected {e:e}, got {a:e} (largest magnitude {scale:e})"
        );
    }
}
