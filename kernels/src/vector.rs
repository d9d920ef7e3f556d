//! Short vectors: run-time choice of the instruction set, and sums in fixed lanes.
//!
//! The loops here are plain Rust that LLVM turns into vector instructions of whatever set
//! [`vectorised`] found. Sums run in [`LANES`] accumulators that are folded in a fixed tree, and nothing is
//! contracted or reordered, so these functions give the same bits on every instruction set. No intrinsics.

use crate::elementary::exp;

/// Accumulators of a sum: one AVX-512 register, two of AVX2, four of NEON.
pub(crate) const LANES: usize = 16;

/// Elements that a long sum adds up in `f32` before it goes on in `f64`.
pub(crate) const STRETCH: usize = 256;

/// Runs `work` compiled for the best instruction set that this machine has.
///
/// Whatever `work` calls must be `#[inline(always)]`, and so must the closure itself, or it stays compiled for the
/// baseline. Loops are `for` loops, because closures inside iterator adapters are not always inlined.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// The lanes folded in halves: lane i with lane i + 8, then i + 4, i + 2 and i + 1.
#[inline(always)]
fn fold(lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The lanes' sum.
#[inline(always)]
pub(crate) fn sum(lanes: [f32; LANES]) -> f32 {
    fold(
        lanes,
        #[inline(always)]
        |a, b| a + b,
    )
}

/// The last elements of a slice as a whole chunk.
#[inline(always)]
pub(crate) fn padded(rest: &[f32], filler: f32) -> [f32; LANES] {
    let mut chunk = [filler; LANES];
    for (chunk, rest) in chunk.iter_mut().zip(rest) {
        *chunk = *rest;
    }
    chunk
}

/// Σ aᵢ.
#[inline(always)]
pub(crate) fn sum_of(a: &[f32]) -> f32 {
    let (chunks, rest) = a.as_chunks::<LANES>();
    let mut lanes = padded(rest, 0.0);
    for a in chunks {
        for lane in 0..LANES {
            lanes[lane] += a[lane];
        }
    }
    sum(lanes)
}

/// Σ aᵢ·bᵢ.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += a * b;
    }
    sum(lanes)
}

/// Σ aᵢ·bᵢ·cᵢ.
#[inline(always)]
pub(crate) fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    dot3_centred(a, b, c, 0.0)
}

/// Σ aᵢ·bᵢ·(cᵢ − centre).
#[inline(always)]
pub(crate) fn dot3_centred(a: &[f32], b: &[f32], c: &[f32], centre: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let (c_chunks, c_rest) = c.as_chunks::<LANES>();
    for ((a, b), c) in a_chunks.iter().zip(b_chunks).zip(c_chunks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane] * (c[lane] - centre);
        }
    }
    for (lane, ((a, b), c)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest).zip(c_rest)) {
        *lane += a * b * (c - centre);
    }
    sum(lanes)
}

/// The larger of two numbers in one instruction; b where a is NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The largest element; −∞ of nothing. A NaN may be passed over.
#[inline(always)]
pub(crate) fn maximum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = padded(rest, f32::NEG_INFINITY);
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(chunk[lane], lanes[lane]);
        }
    }
    fold(lanes, larger)
}

/// Replaces each element by exp(element − shift) and returns their sum.
#[inline(always)]
pub(crate) fn exponentials(values: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            chunk[lane] = exp(chunk[lane] - shift);
            lanes[lane] += chunk[lane];
        }
    }
    if !rest.is_empty() {
        let mut last = padded(rest, f32::NEG_INFINITY);
        for lane in 0..LANES {
            last[lane] = exp(last[lane] - shift);
            lanes[lane] += last[lane];
        }
        for (rest, last) in rest.iter_mut().zip(last) {
            *rest = last;
        }
    }
    sum(lanes)
}

/// Σ exp(valueᵢ − shift), in `f32` lanes that are emptied into `f64` every [`STRETCH`] elements, so that the error
/// does not grow with the length.
#[inline(always)]
pub(crate) fn sum_of_exponentials(values: &[f32], shift: f32) -> f64 {
    let mut total = 0.0;
    for stretch in values.chunks(STRETCH) {
        let (chunks, rest) = stretch.as_chunks::<LANES>();
        let mut lanes = padded(rest, f32::NEG_INFINITY);
        for lane in &mut lanes {
            *lane = exp(*lane - shift);
        }
        for chunk in chunks {
            for lane in 0..LANES {
                lanes[lane] += exp(chunk[lane] - shift);
            }
        }
        total += f64::from(sum(lanes));
    }
    total
}

/// ln Σ exp valueᵢ.
#[inline(always)]
pub(crate) fn log_sum_exp(values: &[f32]) -> f64 {
    let largest = maximum(values);
    f64::from(largest) + sum_of_exponentials(values, largest).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_small_integers_are_exact_at_every_length() {
        for n in 0..70_usize {
            let ones = vec![1.0; n];
            let counted: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let expected = (n * n.saturating_sub(1) / 2) as f32;
            assert_eq!(
                vectorised(
                    #[inline(always)]
                    || dot(&ones, &counted)
                ),
                expected
            );
            let largest = if n == 0 { f32::NEG_INFINITY } else { n as f32 - 1.0 };
            assert_eq!(maximum(&counted), largest);
        }
    }
}
