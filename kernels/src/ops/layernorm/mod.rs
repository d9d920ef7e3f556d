//! Layer normalisation (Ba et al. 2016, arXiv:1607.06450).
//!
//! Per row, mean = mean(x), rstd = (mean((x − mean)²) + ε)^-½ and, with x̂ᵢ = (xᵢ − mean)·rstd, yᵢ = x̂ᵢ·wᵢ + bᵢ.
//! With gᵢ = dyᵢ·wᵢ, dxᵢ = rstd·(gᵢ − mean(g) − x̂ᵢ·mean(g·x̂)); over all rows, dwᵢ = Σ dyᵢ·x̂ᵢ and dbᵢ = Σ dyᵢ.

mod cpu;
pub mod cuda;

use crate::Write;
use tracing::trace_span;

/// y = x̂·weight + bias per row; mean and rstd are kept for [`backward`]. Shapes: y and x \[rows, width\], mean and
/// rstd \[rows\], weight and bias \[width\].
pub fn forward(
    y: &mut [f32],
    mean: &mut [f32],
    rstd: &mut [f32],
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    epsilon: f32,
) {
    let _span = trace_span!("layernorm forward").entered();
    check(y, mean, rstd, x, weight, bias);
    cpu::forward(y, mean, rstd, x, weight, bias, epsilon);
}

/// dx = or += the gradient of x, as `write` says; dweight and dbias = or += those of weight and bias, as `write_weight`
/// says. Shapes as in [`forward`].
///
/// With [`Write::Accumulate`], dx may be the gradient of the residual stream that x was read from.
#[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
pub fn backward(
    dx: &mut [f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    mean: &[f32],
    rstd: &[f32],
    weight: &[f32],
    write: Write,
    write_weight: Write,
) {
    let _span = trace_span!("layernorm backward").entered();
    check(dx, mean, rstd, x, weight, dbias);
    check(dy, mean, rstd, x, dweight, dbias);
    cpu::backward(dx, dweight, dbias, dy, x, mean, rstd, weight, write, write_weight);
}

fn check(y: &[f32], mean: &[f32], rstd: &[f32], x: &[f32], weight: &[f32], bias: &[f32]) {
    let (rows, width) = (rstd.len(), weight.len());
    assert_eq!(x.len(), rows * width, "x is not [rows, width] of {rows} × {width}");
    assert_eq!(y.len(), x.len(), "rows in and out differ in size");
    assert_eq!(mean.len(), rows, "mean and rstd differ in length");
    assert_eq!(bias.len(), width, "bias and weight differ in length");
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const EPSILON: f32 = 1e-5;
    const SHAPES: [(usize, usize); 5] = [(1, 2), (3, 7), (130, 33), (401, 128), (67, 770)];

    struct Operands {
        x: Vec<f32>,
        weight: Vec<f32>,
        bias: Vec<f32>,
        dy: Vec<f32>,
    }

    impl Operands {
        fn new(rows: usize, width: usize) -> Self {
            Self {
                x: random(rows * width, 1).iter().map(|x| x + 0.5).collect(),
                weight: random(width, 2),
                bias: random(width, 3),
                dy: random(rows * width, 4),
            }
        }

        /// y, mean, rstd.
        fn forward(&self) -> [Vec<f32>; 3] {
            let rows = self.x.len() / self.weight.len();
            let mut y = vec![f32::NAN; self.x.len()];
            let (mut mean, mut rstd) = (vec![f32::NAN; rows], vec![f32::NAN; rows]);
            forward(&mut y, &mut mean, &mut rstd, &self.x, &self.weight, &self.bias, EPSILON);
            [y, mean, rstd]
        }

        /// dx, dweight, dbias, each added to `former` where it is not written over.
        fn backward(&self, former: f32, write: Write) -> [Vec<f32>; 3] {
            let [_, mean, rstd] = self.forward();
            let [mut dx, mut dweight, mut dbias] =
                [&self.x, &self.weight, &self.bias].map(|like| vec![former; like.len()]);
            let (x, w) = (&self.x, &self.weight);
            let (dy, mean, rstd) = (&self.dy, &mean, &rstd);
            backward(&mut dx, &mut dweight, &mut dbias, dy, x, mean, rstd, w, write, write);
            [dx, dweight, dbias]
        }
    }

    #[test]
    fn forward_and_backward_agree_with_the_reference() {
        for (rows, width) in SHAPES {
            let operands = Operands::new(rows, width);
            let [x, weight, bias, dy] =
                [&operands.x, &operands.weight, &operands.bias, &operands.dy].map(|v| to_f64(v));
            let epsilon = f64::from(EPSILON);
            let expected = reference::backward(&dy, &x, &weight, epsilon);
            let plus =
                |gradient: &[f64]| -> Vec<f64> { gradient.iter().map(|g| g + 1.0).collect() };

            let [y, _, _] = operands.forward();
            assert_close(&y, &reference::forward(&x, &weight, &bias, epsilon), 2e-6);
            let [dx, dw, db] = operands.backward(f32::NAN, Write::Overwrite);
            assert_close(&dw, &expected[1], 3e-6);
            assert_close(&db, &expected[2], 3e-6);
            let [grown, dweight, dbias] = operands.backward(1.0, Write::Accumulate);
            assert_close(&dweight, &plus(&expected[1]), 3e-6);
            assert_close(&dbias, &plus(&expected[2]), 3e-6);
            if width > 2 {
                // With two columns dx is the difference of equal numbers.
                assert_close(&dx, &expected[0], 4e-6);
                assert_close(&grown, &plus(&expected[0]), 4e-6);
            }
        }
    }

    #[test]
    fn reference_gradients_are_central_differences() {
        let operands = Operands::new(3, 5);
        let [x, weight, bias, dy] =
            [&operands.x, &operands.weight, &operands.bias, &operands.dy].map(|v| to_f64(v));
        let epsilon = f64::from(EPSILON);
        let [dx, dweight, dbias] = reference::backward(&dy, &x, &weight, epsilon);
        let value =
            |x: &[f64], w: &[f64], b: &[f64]| inner(&reference::forward(x, w, b, epsilon), &dy);
        assert_close_f64(&dx, &differences(&x, |x| value(x, &weight, &bias)), 1e-7);
        assert_close_f64(&dweight, &differences(&weight, |w| value(&x, w, &bias)), 1e-7);
        assert_close_f64(&dbias, &differences(&bias, |b| value(&x, &weight, b)), 1e-7);
    }

    #[test]
    fn a_large_mean_does_not_drown_the_variance() {
        let x: Vec<f32> = (0..64).map(|i| 1000.0 + (i % 2) as f32).collect();
        let (mut y, mut mean, mut rstd) = ([f32::NAN; 64], [0.0], [0.0]);
        forward(&mut y, &mut mean, &mut rstd, &x, &[1.0; 64], &[0.0; 64], 0.0);
        assert_eq!((mean[0], rstd[0]), (1000.5, 2.0));
        assert!(y.iter().enumerate().all(|(i, &y)| y == if i % 2 == 0 { -1.0 } else { 1.0 }));
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let operands = Operands::new(1001, 100);
        assert_same_on_any_number_of_threads(|| {
            [operands.forward(), operands.backward(0.5, Write::Accumulate)].concat().concat()
        });
    }
}
