//! The Kullback–Leibler divergence of two softmax distributions, exact over the vocabulary.
//!
//! KL(p‖q) = Σᵥ p(v)·(ln p(v) − ln q(v)) in nats, with p and q the softmax of one row of logits each. No gradient.

mod cpu;

/// kl\[r\] = KL(softmax(p_logits\[r\]) ‖ softmax(q_logits\[r\])). Shapes: kl \[rows\], both logits \[rows, vocabulary\].
pub fn divergence(kl: &mut [f32], p_logits: &[f32], q_logits: &[f32], vocabulary: usize) {
    assert_eq!(
        p_logits.len(),
        kl.len() * vocabulary,
        "p's logits are not [{} rows, {vocabulary}]",
        kl.len()
    );
    assert_eq!(q_logits.len(), p_logits.len(), "the logits of p and q differ in size");
    cpu::divergence(kl, p_logits, q_logits, vocabulary);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn agrees_with_the_formula() {
        for (rows, vocabulary) in [(1, 2), (3, 17), (5, 2048), (2, 5003)] {
            let p: Vec<f32> = random(rows * vocabulary, 1).iter().map(|x| 4.0 * x).collect();
            let q: Vec<f32> = random(rows * vocabulary, 2).iter().map(|x| 4.0 * x + 30.0).collect();
            let mut kl = vec![f32::NAN; rows];
            divergence(&mut kl, &p, &q, vocabulary);
            let log_softmax = |logits: &[f32]| -> Vec<f64> {
                let lse = logits.iter().map(|&l| f64::from(l).exp()).sum::<f64>().ln();
                logits.iter().map(|&l| f64::from(l) - lse).collect()
            };
            for (r, &kl) in kl.iter().enumerate() {
                let row = r * vocabulary..(r + 1) * vocabulary;
                let (p, q) = (log_softmax(&p[row.clone()]), log_softmax(&q[row]));
                let expected: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
                assert!(
                    (f64::from(kl) - expected).abs() < 1e-6 * expected.max(1.0),
                    "{expected} and {}",
                    kl
                );
            }
        }
    }

    #[test]
    fn equal_distributions_have_none_and_a_coin_has_its_closed_form() {
        let (mut kl, logits) = ([f32::NAN], random(999, 1));
        divergence(&mut kl, &logits, &logits, 999);
        assert_eq!(kl, [0.0]);
        // A fair coin against 1/4 and 3/4: ½ ln 2 + ½ ln ⅔.
        divergence(&mut kl, &[0.0, 0.0], &[1.0_f32.ln(), 3.0_f32.ln()], 2);
        assert_close(&kl, &[0.5 * 2.0_f64.ln() + 0.5 * (2.0_f64 / 3.0).ln()], 1e-6);
    }
}
