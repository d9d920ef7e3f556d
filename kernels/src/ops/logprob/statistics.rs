//! What else there is to say of a row of logits: entropy, mean, and whether the target is the likeliest token.
//!
//! With p = softmax(l) and lse from forward: H = −Σᵥ p(v)·ln p(v), where ln p(v) = l(v) − lse, so that no two large
//! numbers are taken from each other. A pass of its own over a chunk of logits that forward has just computed: who does
//! not ask for it pays nothing.

use rayon::prelude::*;

use crate::elementary::exp;
use crate::vector::{LANES, STRETCH, maximum, padded, sum, vectorised};

/// What holds of the distribution that predicts one target.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Statistics {
    /// In nats.
    pub entropy: f32,
    /// Of the logits, over the vocabulary.
    pub mean_logit: f32,
    /// Whether no token's logit is larger than the target's, and none before it as large.
    pub is_likeliest: bool,
}

/// Of a chunk of rows. Shapes: statistics, lse and targets \[rows\], logits \[rows, stride\].
pub(super) fn of_rows(
    statistics: &mut [Statistics],
    logits: &[f32],
    lse: &[f32],
    targets: &[u32],
    [vocabulary, stride]: [usize; 2],
) {
    let rows = statistics.par_iter_mut().zip(logits.par_chunks(stride)).zip(lse).zip(targets);
    rows.for_each(|(((statistics, logits), &lse), &target)| {
        *statistics = vectorised(
            #[inline(always)]
            || of_row(&logits[..vocabulary], lse, target as usize),
        );
    });
}

#[inline(always)]
fn of_row(logits: &[f32], lse: f32, target: usize) -> Statistics {
    let (mut negative_entropy, mut total) = (0.0, 0.0);
    for stretch in logits.chunks(STRETCH) {
        let (chunks, rest) = stretch.as_chunks::<LANES>();
        // What is filled in has ln p = 0 and adds nothing.
        let filled = padded(rest, lse);
        let (mut of_entropy, mut of_logits) = ([0.0; LANES], padded(rest, 0.0));
        for lane in 0..LANES {
            let logp = filled[lane] - lse;
            of_entropy[lane] = exp(logp) * logp;
        }
        for chunk in chunks {
            for lane in 0..LANES {
                let logp = chunk[lane] - lse;
                of_entropy[lane] += exp(logp) * logp;
                of_logits[lane] += chunk[lane];
            }
        }
        negative_entropy += f64::from(sum(of_entropy));
        total += f64::from(sum(of_logits));
    }
    let (before, from) = logits.split_at(target);
    Statistics {
        entropy: -negative_entropy as f32,
        mean_logit: (total / logits.len() as f64) as f32,
        is_likeliest: from[0] > maximum(before) && from[0] >= maximum(from),
    }
}
