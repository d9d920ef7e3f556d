//! The activation of a feed-forward layer, element by element: y = f(x) and dx = dy·f′(x).
//!
//! With σ the logistic function and Φ, φ the normal distribution and its density,
//! SiLU is x·σ(x) (Elfwing et al. 2018, arXiv:1702.03118) and GELU x·Φ(x) = x/2·(1 + erf(x/√2)) (Hendrycks and Gimpel
//! 2016, arXiv:1606.08415). The latter's approximation x/2·(1 + tanh u) with u = √(2/π)·(x + 0.044715·x³) is computed
//! as x·σ(2u), which is the same. Not here: the product with a second input (see `gated`).

mod cpu;
pub mod cuda;
pub(crate) mod curve;

use tracing::trace_span;

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x·σ(x), also called swish.
    Silu,
    /// x·Φ(x) by the error function (Hugging Face's `gelu`).
    Gelu,
    /// GELU's approximation by tanh (Hugging Face's `gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// max(x, 0), with slope 0 at 0.
    Relu,
}

/// y = f(x); both of one length.
pub fn forward(y: &mut [f32], x: &[f32], activation: Activation) {
    let _span = trace_span!("activation forward").entered();
    assert_eq!(y.len(), x.len(), "x and y differ in length");
    cpu::forward(y, x, activation);
}

/// dx = dy·f′(x), written over; all of one length.
pub fn backward(dx: &mut [f32], dy: &[f32], x: &[f32], activation: Activation) {
    let _span = trace_span!("activation backward").entered();
    assert_eq!(dx.len(), x.len(), "x and dx differ in length");
    assert_eq!(dx.len(), dy.len(), "dy and dx differ in length");
    cpu::backward(dx, dy, x, activation);
}

#[cfg(test)]
pub(crate) mod reference;

#[cfg(test)]
mod tests {
    use super::reference::{ALL, slope, value};
    use super::*;
    use crate::testing::*;

    #[test]
    fn forward_and_backward_agree_with_the_reference() {
        for (activation, n) in ALL.into_iter().flat_map(|a| [1, 15, 16, 33, 20_001].map(|n| (a, n)))
        {
            let x: Vec<f32> = random(n, 1).iter().map(|x| 12.0 * x).collect();
            let dy = random(n, 2);
            let (mut y, mut dx) = (vec![f32::NAN; n], vec![f32::NAN; n]);
            forward(&mut y, &x, activation);
            backward(&mut dx, &dy, &x, activation);

            let x = to_f64(&x);
            let expected: Vec<f64> = x.iter().map(|&x| value(activation, x)).collect();
            assert_close(&y, &expected, 2e-7);
            let expected: Vec<f64> =
                x.iter().zip(&dy).map(|(&x, &dy)| f64::from(dy) * slope(activation, x)).collect();
            assert_close(&dx, &expected, 1e-6);
        }
    }

    #[test]
    fn reference_slopes_are_central_differences() {
        for activation in ALL {
            let x: Vec<f64> = to_f64(&random(101, 1)).iter().map(|x| 6.0 * x).collect();
            let slopes: Vec<f64> = x.iter().map(|&x| slope(activation, x)).collect();
            let sum = |x: &[f64]| x.iter().map(|&x| value(activation, x)).sum();
            assert_close_f64(&slopes, &differences(&x, sum), 1e-7);
        }
    }

    #[test]
    fn values_of_pytorch() {
        // torch.nn.functional.gelu(x, approximate=…), silu and relu at −1, 0.5 and 2, from their formulas in 30 digits.
        let cases = [
            (Activation::Gelu, [-0.158_655_253_931, 0.345_731_230_637, 1.954_499_736_104]),
            (Activation::GeluTanh, [-0.158_808_009_392, 0.345_714_009_825, 1.954_597_694_088]),
            (Activation::Silu, [-0.268_941_421_370, 0.311_229_665_600, 1.761_594_155_956]),
            (Activation::Relu, [0.0, 0.5, 2.0]),
        ];
        for (activation, expected) in cases {
            let mut y = [f32::NAN; 3];
            forward(&mut y, &[-1.0, 0.5, 2.0], activation);
            assert_close(&y, &expected, 1e-7);
        }
    }

    #[test]
    fn far_from_zero_they_are_off_or_open() {
        for activation in ALL {
            let x = [-1e4, -200.0, 200.0, 1e4];
            let (mut y, mut dx) = ([f32::NAN; 4], [f32::NAN; 4]);
            forward(&mut y, &x, activation);
            backward(&mut dx, &[1.0; 4], &x, activation);
            assert!(y[0].abs() < 1e-30 && y[1].abs() < 1e-30, "{activation:?} {y:?}");
            assert!(dx[0].abs() < 1e-30 && dx[1].abs() < 1e-30, "{activation:?} {dx:?}");
            assert_eq!((&y[2..], &dx[2..]), (&x[2..], &[1.0, 1.0][..]), "{activation:?}");
        }
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (x, dy) = (random(100_003, 1), random(100_003, 2));
        for activation in ALL {
            assert_same_on_any_number_of_threads(|| {
                let [mut y, mut dx] = [(); 2].map(|()| vec![0.0; x.len()]);
                forward(&mut y, &x, activation);
                backward(&mut dx, &dy, &x, activation);
                [y, dx].concat()
            });
        }
    }
}
