//! Attention as plain loops in `f64`: one query, one key at a time.

use super::{Segment, Shape};

/// Queries, keys and values, or their gradients.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) q: Vec<f64>,
    pub(super) k: Vec<f64>,
    pub(super) v: Vec<f64>,
}

/// y and lse.
pub(super) fn forward(inputs: &Rows, segments: &[Segment], shape: &Shape) -> (Vec<f64>, Vec<f64>) {
    let (mut y, mut lse) = (vec![0.0; inputs.q.len()], Vec::new());
    for_each_query(inputs, segments, shape, |query, keys, p, _, log_sum| {
        for (&key, &p) in keys.iter().zip(p) {
            for d in 0..shape.head_dim {
                y[query + d] += p * inputs.v[key + d];
            }
        }
        lse.push(log_sum);
    });
    (y, lse)
}

pub(super) fn backward(dy: &[f64], inputs: &Rows, segments: &[Segment], shape: &Shape) -> Rows {
    let zeros = |like: &[f64]| vec![0.0; like.len()];
    let mut gradients = Rows { q: zeros(&inputs.q), k: zeros(&inputs.k), v: zeros(&inputs.v) };
    let Rows { q: dq, k: dk, v: dv } = &mut gradients;
    for_each_query(inputs, segments, shape, |query, keys, p, slopes, _| {
        let dp = |key: usize| {
            (0..shape.head_dim).map(|d| dy[query + d] * inputs.v[key + d]).sum::<f64>()
        };
        let mean: f64 = keys.iter().zip(p).map(|(&key, &p)| p * dp(key)).sum();
        for ((&key, &p), &slope) in keys.iter().zip(p).zip(slopes) {
            let ds = f64::from(shape.scale) * slope * p * (dp(key) - mean);
            for d in 0..shape.head_dim {
                dq[query + d] += ds * inputs.k[key + d];
                dk[key + d] += ds * inputs.q[query + d];
                dv[key + d] += p * dy[query + d];
            }
        }
    });
    gradients
}

/// Calls `visit` for every row and head in order with the query's offset, the offsets of the keys it sees, their
/// probabilities, the slopes of the cap there and the log-sum-exp of the scores.
fn for_each_query(
    inputs: &Rows,
    segments: &[Segment],
    shape: &Shape,
    mut visit: impl FnMut(usize, &[usize], &[f64], &[f64], f64),
) {
    let Shape { heads, kv_heads, head_dim, scale, softcap, window } = *shape;
    for segment in segments {
        for row in segment.start..segment.start + segment.len {
            for head in 0..heads {
                let query = (row * heads + head) * head_dim;
                let prefix = segment.prefix_start..segment.prefix_start + segment.prefix_len;
                let seen: Vec<usize> = prefix.chain(segment.start..row + 1).collect();
                let last = &seen[seen.len() - window.unwrap_or(seen.len()).min(seen.len())..];
                let keys: Vec<usize> = last
                    .iter()
                    .map(|j| (j * kv_heads + head / (heads / kv_heads)) * head_dim)
                    .collect();
                let product = |key: usize| {
                    (0..head_dim).map(|d| inputs.q[query + d] * inputs.k[key + d]).sum::<f64>()
                };
                let capped = |key: &usize| {
                    let score = f64::from(scale) * product(*key);
                    match softcap.map(f64::from) {
                        None => (score, 1.0),
                        Some(cap) => {
                            let tanh = (score / cap).tanh();
                            (cap * tanh, 1.0 - tanh * tanh)
                        }
                    }
                };
                let (scores, slopes): (Vec<f64>, Vec<f64>) = keys.iter().map(capped).unzip();
                let weights: Vec<f64> = scores.iter().map(|score| score.exp()).collect();
                let sum: f64 = weights.iter().sum();
                let p: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
                visit(query, &keys, &p, &slopes, sum.ln());
            }
        }
    }
}
