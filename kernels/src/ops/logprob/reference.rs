//! Log-probabilities of targets as plain loops in `f64`.

use super::Shape;

/// logp and lse.
pub(super) fn forward(
    hidden: &[f64],
    head: &[f64],
    targets: &[u32],
    shape: Shape,
) -> (Vec<f64>, Vec<f64>) {
    let row = |r: usize| {
        let logits = logits(hidden, head, r, shape);
        let lse = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
        (logits[targets[r] as usize] - lse, lse)
    };
    (0..shape.rows).map(row).unzip()
}

/// Entropy of each row in nats, and mean logit.
pub(super) fn statistics(hidden: &[f64], head: &[f64], shape: Shape) -> (Vec<f64>, Vec<f64>) {
    let row = |r: usize| {
        let logits = logits(hidden, head, r, shape);
        let lse = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
        let entropy = logits.iter().map(|logit| (lse - logit) * (logit - lse).exp()).sum::<f64>();
        (entropy, logits.iter().sum::<f64>() / logits.len() as f64)
    };
    (0..shape.rows).map(row).unzip()
}

/// dhidden and dhead.
pub(super) fn backward(
    dlogp: &[f64],
    hidden: &[f64],
    head: &[f64],
    targets: &[u32],
    shape: Shape,
) -> (Vec<f64>, Vec<f64>) {
    let width = shape.width;
    let (mut dhidden, mut dhead) = (vec![0.0; hidden.len()], vec![0.0; head.len()]);
    for r in 0..shape.rows {
        let logits = logits(hidden, head, r, shape);
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        for (v, logit) in logits.iter().enumerate() {
            let hit = f64::from(targets[r] as usize == v);
            let slope = shape.softcap.map_or(1.0, |cap| 1.0 - (logit / f64::from(cap)).powi(2));
            let dlogit = dlogp[r] * (hit - logit.exp() / sum) * slope;
            for i in 0..width {
                dhidden[r * width + i] += dlogit * head[v * width + i];
                dhead[v * width + i] += dlogit * hidden[r * width + i];
            }
        }
    }
    (dhidden, dhead)
}

fn logits(hidden: &[f64], head: &[f64], row: usize, shape: Shape) -> Vec<f64> {
    let hidden = &hidden[row * shape.width..][..shape.width];
    let capped = |logit: f64| match shape.softcap.map(f64::from) {
        None => logit,
        Some(cap) => cap * (logit / cap).tanh(),
    };
    let product = |head: &[f64]| head.iter().zip(hidden).map(|(a, b)| a * b).sum();
    head.chunks_exact(shape.width).map(|head| capped(product(head))).collect()
}
