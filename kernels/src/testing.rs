//! What the operations' tests share: random inputs, comparison with `f64` references, central differences and
//! runs on several numbers of threads.
//!
//! The chain of every operation's tests is: central differences of the reference's forward hold its backward,
//! and the reference holds the fast version. Both references are plain loops over the formulas in `f64`.

/// Numbers spread evenly over (−1, 1), the same for the same seed (SplitMix64, Steele et al. 2014).
pub(crate) fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    // The 24 highest bits, an odd number of half steps: never 0, never ±1, exact in f32.
    (0..n).map(|_| ((next() >> 41) as f32 + 0.5) / (1 << 22) as f32 - 1.0).collect()
}

/// Numbers below `limit`.
pub(crate) fn random_ids(n: usize, limit: usize, seed: u64) -> Vec<u32> {
    random(n, seed).iter().map(|x| ((x + 1.0) / 2.0 * limit as f32) as u32 % limit as u32).collect()
}

pub(crate) fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Every element is within `tolerance` of the largest expected magnitude.
#[track_caller]
pub(crate) fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_close_f64(&to_f64(actual), expected, tolerance);
}

#[track_caller]
pub(crate) fn assert_close_f64(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "lengths differ");
    let scale = expected.iter().fold(0.0_f64, |largest, e| largest.max(e.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        // Written so that NaN fails.
        let close = (a - e).abs() <= tolerance * scale;
        assert!(
            close,
            "element {i}: expected {e:e}, got {a:e} (largest expected magnitude {scale:e})"
        );
    }
}

/// ∂f/∂inputs by central differences, accurate to about 1e-9 of the largest gradient for smooth f of order one.
pub(crate) fn differences(inputs: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut moved = inputs.to_vec();
    let mut at = |i: usize, x: f64| {
        let former = std::mem::replace(&mut moved[i], x);
        let value = f(&moved);
        moved[i] = former;
        value
    };
    (0..inputs.len())
        .map(|i| (at(i, inputs[i] + STEP) - at(i, inputs[i] - STEP)) / (2.0 * STEP))
        .collect()
}

/// Σ aᵢ·bᵢ: the scalar whose gradient a backward pass gives when fed `b`.
pub(crate) fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Φ(x), the normal distribution. Around 0, ½ + φ(x)·Σ x²ⁿ⁺¹/(2n + 1)!!, whose terms have one sign; in the lower tail
/// φ(x) times a continued fraction (Abramowitz and Stegun 26.2.11 and 26.2.14).
pub(crate) fn exact_normal(x: f64) -> f64 {
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x < -2.0 {
        let fraction = (1..=200).rev().fold(0.0, |f, n| f64::from(n) / (f - x));
        return density / (fraction - x);
    }
    if x > 2.0 {
        return 1.0 - exact_normal(-x);
    }
    let (mut term, mut sum, mut n) = (x, 0.0, 1.0);
    while f64::abs(term) > 1e-18 {
        sum += term;
        n += 2.0;
        term *= x * x / n;
    }
    0.5 + density * sum
}

/// Runs `work` with 1, 2 and 3 threads and demands the same bits.
#[track_caller]
pub(crate) fn assert_same_on_any_number_of_threads(work: impl Fn() -> Vec<f32> + Sync) {
    let bits = |threads: usize| -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads can be started");
        pool.install(&work).iter().map(|x| x.to_bits()).collect()
    };
    let one = bits(1);
    assert!(!one.is_empty(), "nothing was computed");
    for threads in [2, 3] {
        assert!(one == bits(threads), "the bytes differ between 1 thread and {threads}");
    }
}
