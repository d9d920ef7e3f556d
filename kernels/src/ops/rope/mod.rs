//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864), with the halves of a head split as in
//! Hugging Face's models.
//!
//! With h = head_dim/2, position p and frequency fᵢ, each head's pair (xᵢ, xᵢ₊ₕ) turns by the angle p·fᵢ:
//! yᵢ = xᵢ·cos − xᵢ₊ₕ·sin and yᵢ₊ₕ = xᵢ₊ₕ·cos + xᵢ·sin. Backward is the rotation by −p·fᵢ. Not the interleaved
//! pairing (x₂ᵢ, x₂ᵢ₊₁) of the original code.

mod cpu;
pub mod cuda;

use tracing::trace_span;

/// Cosines and sines of every position and frequency.
#[derive(Debug, Clone)]
pub struct Table {
    /// \[positions, head_dim/2\]
    cos: Vec<f32>,
    /// \[positions, head_dim/2\]
    sin: Vec<f32>,
    half: usize,
}

impl Table {
    /// The table of the usual frequencies fᵢ = theta^(−2i/head_dim), for positions 0 to n_positions − 1.
    pub fn new(n_positions: usize, head_dim: usize, theta: f64) -> Self {
        let exponent = |i: usize| -2.0 * i as f64 / head_dim as f64;
        let frequencies: Vec<f64> = (0..head_dim / 2).map(|i| theta.powf(exponent(i))).collect();
        Self::from_frequencies(n_positions, &frequencies)
    }

    /// The table of given frequencies, in radians per position, one per pair of a head; for scaled variants.
    pub fn from_frequencies(n_positions: usize, frequencies: &[f64]) -> Self {
        Self::scaled(n_positions, frequencies, 1.0)
    }

    /// The same with all cosines and sines multiplied by `magnitude`, as YaRN has it; the turn then stretches too.
    pub fn scaled(n_positions: usize, frequencies: &[f64], magnitude: f64) -> Self {
        let angles = (0..n_positions).flat_map(|p| frequencies.iter().map(move |f| p as f64 * f));
        let (cos, sin) = angles
            .map(|angle| ((magnitude * angle.cos()) as f32, (magnitude * angle.sin()) as f32))
            .unzip();
        Self { cos, sin, half: frequencies.len() }
    }

    /// Positions that the table covers.
    pub fn n_positions(&self) -> usize {
        self.cos.len() / self.half
    }
}

/// Rotates every head of row r of x by the angles of positions\[r\], in place.
/// Shapes: x \[rows, heads, head_dim\], positions \[rows\]; the number of heads follows from the lengths.
pub fn forward(x: &mut [f32], positions: &[u32], table: &Table) {
    let _span = trace_span!("rope forward").entered();
    check(x, positions, table);
    cpu::rotate(x, positions, table, cpu::Direction::Forward);
}

/// Rotates the gradient back, in place. Shapes as in [`forward`].
pub fn backward(dx: &mut [f32], positions: &[u32], table: &Table) {
    let _span = trace_span!("rope backward").entered();
    check(dx, positions, table);
    cpu::rotate(dx, positions, table, cpu::Direction::Backward);
}

fn check(x: &[f32], positions: &[u32], table: &Table) {
    let head_dim = 2 * table.half;
    if let Some(p) = positions.iter().find(|&&p| p as usize >= table.n_positions()) {
        panic!("position {p} is outside the table of {} positions", table.n_positions());
    }
    let row_of_heads = positions.len() * head_dim;
    assert!(
        if row_of_heads == 0 { x.is_empty() } else { x.len().is_multiple_of(row_of_heads) },
        "x is not [rows, heads, head_dim]: {} elements for {} rows of head_dim {head_dim}",
        x.len(),
        positions.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const THETA: f64 = 10_000.0;

    /// The rotation as complex numbers: (xᵢ + j·xᵢ₊ₕ)·exp(j·p·θ^(−2i/d)).
    fn reference(x: &[f64], positions: &[u32], head_dim: usize) -> Vec<f64> {
        let (mut y, half, width) = (x.to_vec(), head_dim / 2, x.len() / positions.len());
        for (r, &position) in positions.iter().enumerate() {
            for head in 0..width / head_dim {
                for i in 0..half {
                    let (sin, cos) = (f64::from(position)
                        / THETA.powf(2.0 * i as f64 / head_dim as f64))
                    .sin_cos();
                    let low = r * width + head * head_dim + i;
                    y[low] = x[low] * cos - x[low + half] * sin;
                    y[low + half] = x[low] * sin + x[low + half] * cos;
                }
            }
        }
        y
    }

    #[test]
    fn forward_agrees_with_the_reference() {
        for (rows, heads, head_dim) in [(1, 1, 2), (7, 3, 10), (301, 2, 32), (129, 4, 64)] {
            let (x, positions) = (random(rows * heads * head_dim, 1), random_ids(rows, 256, 2));
            let mut y = x.clone();
            forward(&mut y, &positions, &Table::new(256, head_dim, THETA));
            assert_close(&y, &reference(&to_f64(&x), &positions, head_dim), 3e-7);
        }
    }

    #[test]
    fn backward_is_the_transpose_of_forward() {
        // The rotation is linear in x: ⟨dy, R·x⟩ = ⟨Rᵀ·dy, x⟩ for all x and dy.
        let (rows, heads, head_dim) = (101, 3, 10);
        let (x, dy) = (random(rows * heads * head_dim, 1), random(rows * heads * head_dim, 2));
        let (positions, table) = (random_ids(rows, 64, 3), Table::new(64, head_dim, THETA));
        let (mut y, mut dx) = (x.clone(), dy.clone());
        forward(&mut y, &positions, &table);
        backward(&mut dx, &positions, &table);
        let (left, right) = (inner(&to_f64(&y), &to_f64(&dy)), inner(&to_f64(&dx), &to_f64(&x)));
        assert!((left - right).abs() < 1e-5, "{left} and {right}");
        // And it is orthogonal: turning back gives x.
        backward(&mut y, &positions, &table);
        assert_close(&y, &to_f64(&x), 3e-7);
    }

    #[test]
    fn a_magnitude_stretches_what_is_turned() {
        let (x, positions, frequencies) = (random(3 * 8, 1), [0, 5, 9], [1.0, 0.5, 0.1, 0.01]);
        let (mut plain, mut scaled) = (x.clone(), x);
        forward(&mut plain, &positions, &Table::from_frequencies(10, &frequencies));
        forward(&mut scaled, &positions, &Table::scaled(10, &frequencies, 1.25));
        let expected: Vec<f64> = plain.iter().map(|x| 1.25 * f64::from(*x)).collect();
        assert_close(&scaled, &expected, 3e-7);
    }

    #[test]
    fn the_first_position_is_not_turned() {
        let x = random(2 * 16, 1);
        let mut y = x.clone();
        forward(&mut y, &[0, 0], &Table::new(1, 8, THETA));
        assert_eq!(y, x);
    }

    #[test]
    #[should_panic(expected = "position 4 is outside the table of 4 positions")]
    fn a_position_outside_the_table_is_refused() {
        forward(&mut [0.0; 8], &[4], &Table::new(4, 8, THETA));
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (x, positions, table) =
            (random(901 * 64, 1), random_ids(901, 256, 2), Table::new(256, 32, THETA));
        assert_same_on_any_number_of_threads(|| {
            let mut y = x.clone();
            forward(&mut y, &positions, &table);
            y
        });
    }
}
