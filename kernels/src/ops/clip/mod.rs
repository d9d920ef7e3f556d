//! Gradient clipping by the global norm.
//!
//! The norm is √Σ g² over the whole flat buffer, summed in `f64` in a fixed order; clipping to a maximum is
//! [`scale`] by max/norm where the norm exceeds it. The caller decides.

mod cpu;
pub mod cuda;

use crate::blocks;

/// √Σ g², summed in `f64`.
pub fn global_norm(gradients: &[f32]) -> f64 {
    cpu::global_norm(gradients)
}

/// gradients ← factor·gradients.
pub fn scale(gradients: &mut [f32], factor: f32) {
    blocks::scale(gradients, factor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn norm_of_a_pythagorean_triple() {
        assert_eq!(global_norm(&[3.0, 0.0, -4.0]), 5.0);
        assert_eq!(global_norm(&[]), 0.0);
    }

    #[test]
    fn norm_of_a_long_buffer_keeps_double_precision() {
        let gradients = random(100_003, 1);
        let exact = gradients.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert!((global_norm(&gradients) / exact - 1.0).abs() < 1e-13);
    }

    #[test]
    fn scaling_multiplies_every_element() {
        let mut gradients: Vec<f32> = (0..40_000).map(|i| i as f32).collect();
        scale(&mut gradients, 0.5);
        assert!(gradients.iter().enumerate().all(|(i, &g)| g == i as f32 / 2.0));
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let gradients = random(200_003, 1);
        assert_same_on_any_number_of_threads(|| {
            let bits = global_norm(&gradients).to_bits();
            vec![f32::from_bits(bits as u32), f32::from_bits((bits >> 32) as u32)]
        });
    }
}
