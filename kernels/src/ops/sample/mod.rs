//! Drawing a token from the softmax of logits, at temperature 1.
//!
//! The inverse of the cumulative distribution: with p = softmax(l) and u uniform in \[0, 1), the token is the
//! first v with Σ_{w ≤ v} p(w) > u. Randomness is the caller's; the same u gives the same token.

mod cpu;
pub mod cuda;

use tracing::trace_span;

/// ids\[r\] is drawn from softmax(logits\[r\]) by uniforms\[r\], and logp\[r\] is its log-probability.
/// Shapes: logits \[rows, vocabulary\], all others \[rows\]; uniforms lie in \[0, 1).
pub fn categorical(
    ids: &mut [u32],
    logp: &mut [f32],
    logits: &[f32],
    uniforms: &[f64],
    vocabulary: usize,
) {
    let _span = trace_span!("sample").entered();
    assert_eq!(
        logits.len(),
        ids.len() * vocabulary,
        "logits are not [{} rows, {vocabulary}]",
        ids.len()
    );
    assert_eq!(logp.len(), ids.len(), "log-probs and ids differ in length");
    assert_eq!(uniforms.len(), ids.len(), "uniforms and ids differ in length");
    cpu::categorical(ids, logp, logits, uniforms, vocabulary);
}

/// ids\[r\] is the first of the largest of logits\[r\]. Shapes: logits \[rows, vocabulary\], ids \[rows\].
pub fn likeliest(ids: &mut [u32], logits: &[f32], vocabulary: usize) {
    let rows = ids.len();
    assert_eq!(logits.len(), rows * vocabulary, "logits are not [{rows} rows, {vocabulary}]");
    let larger = |best: (usize, f32), (token, &logit): (usize, &f32)| match logit > best.1 {
        true => (token, logit),
        false => best,
    };
    for (id, logits) in ids.iter_mut().zip(logits.chunks_exact(vocabulary)) {
        *id = logits.iter().enumerate().fold((0, f32::NEG_INFINITY), larger).0 as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn of_equal_logits_the_first_is_likeliest() {
        let mut ids = [u32::MAX; 3];
        let none = f32::NEG_INFINITY;
        likeliest(&mut ids, &[1.0, 3.0, 3.0, -2.0, -3.0, -2.0, none, none, none], 3);
        assert_eq!(ids, [1, 0, 0]);
    }

    fn draw(logits: &[f32], uniform: f64) -> (u32, f32) {
        let (mut ids, mut logp) = ([u32::MAX], [f32::NAN]);
        categorical(&mut ids, &mut logp, logits, &[uniform], logits.len());
        (ids[0], logp[0])
    }

    #[test]
    fn tokens_follow_the_inverse_of_the_cumulative_distribution() {
        // p = 1/8, 1/2, 3/8, with cumulative bounds at 0.125 and 0.625.
        let logits = [1.0_f32.ln(), 4.0_f32.ln(), 3.0_f32.ln()];
        for (uniform, token, p) in [
            (0.0, 0, 0.125),
            (0.1249, 0, 0.125),
            (0.1251, 1, 0.5),
            (0.6249, 1, 0.5),
            (0.6251, 2, 0.375),
            (0.999_999, 2, 0.375),
        ] {
            let (id, logp) = draw(&logits, uniform);
            assert_eq!(id, token, "for u = {uniform}");
            assert_close(&[logp], &[f64::ln(p)], 3e-7);
        }
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let vocabulary = 700;
        let n = 100_000;
        let logits: Vec<f32> = random(vocabulary, 1).iter().map(|x| 3.0 * x).collect();
        let sum: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
        let mut counts = vec![0.0; vocabulary];
        for i in 0..n {
            // An even grid of uniforms hits each interval of width p at p·n points, give or take one.
            let (id, logp) = draw(&logits, (i as f64 + 0.5) / n as f64);
            counts[id as usize] += 1.0;
            assert!((f64::from(logp) - (f64::from(logits[id as usize]) - sum.ln())).abs() < 2e-6);
        }
        for (count, &logit) in counts.iter().zip(&logits) {
            let expected = n as f64 * f64::from(logit).exp() / sum;
            assert!((count - expected).abs() <= 1.1, "expected {expected} draws, got {count}");
        }
    }

    #[test]
    fn impossible_tokens_are_never_drawn() {
        let never = f32::NEG_INFINITY;
        let mut logits = vec![never; 600];
        (logits[2], logits[400]) = (0.0, 0.0);
        assert_eq!(draw(&logits, 0.0).0, 2);
        assert_eq!(draw(&logits, 0.5).0, 400);
        assert_eq!(draw(&logits, 1.0 - f64::EPSILON).0, 400);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (rows, vocabulary) = (67, 515);
        let logits = random(rows * vocabulary, 1);
        let uniforms: Vec<f64> =
            random(rows, 2).iter().map(|&x| (f64::from(x) + 1.0) / 2.0).collect();
        assert_same_on_any_number_of_threads(|| {
            let (mut ids, mut logp) = (vec![0; rows], vec![0.0; rows]);
            categorical(&mut ids, &mut logp, &logits, &uniforms, vocabulary);
            [ids.iter().map(|&id| id as f32).collect(), logp].concat()
        });
    }
}
