//! Gradient clipping by the global norm.
//!
//! The norm is √Σ g² over the whole flat buffer, summed in `f64` in a fixed order; it is not finite where any gradient is
//! not. Clipping to a maximum is a factor min(1, maximum/(norm + 10⁻⁶)), as in PyTorch, which the update applies (`adamw`).

mod cpu;
pub mod cuda;

use tracing::trace_span;

/// √Σ g², summed in `f64`.
pub fn global_norm(gradients: &[f32]) -> f64 {
    let _span = trace_span!("norm of the gradient").entered();
    cpu::global_norm(gradients)
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
    fn the_norm_is_finite_if_and_only_if_every_gradient_is() {
        let mut gradients = vec![f32::MAX; 40_003];
        assert!(global_norm(&gradients).is_finite());
        for place in [0, 7, 20_000, 40_002] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let former = std::mem::replace(&mut gradients[place], value);
                assert!(!global_norm(&gradients).is_finite(), "{value} at {place}");
                gradients[place] = former;
            }
        }
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
