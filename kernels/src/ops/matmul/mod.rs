//! The linear layer: y = x·wᵀ, with the weight stored as \[outputs, inputs\] (Hugging Face's layout).
//!
//! With y\[r, o\] = Σᵢ x\[r, i\]·w\[o, i\] and dy = ∂L/∂y, the gradients are dx = dy·w and dw = dyᵀ·x.
//! No bias and no activation.

mod cpu;
pub mod cuda;

use crate::Write;
use tracing::trace_span;

/// The sizes of a linear layer applied to `rows` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows of x and y.
    pub rows: usize,
    /// Width of a row of x.
    pub inputs: usize,
    /// Width of a row of y.
    pub outputs: usize,
}

impl Shape {
    /// Floating-point operations of one product.
    fn flop(&self) -> u64 {
        2 * (self.rows * self.inputs * self.outputs) as u64
    }

    fn check(&self, x: &[f32], w: &[f32], y: &[f32]) {
        assert_eq!(x.len(), self.rows * self.inputs, "x is not [rows, inputs] of {self:?}");
        assert_eq!(w.len(), self.outputs * self.inputs, "w is not [outputs, inputs] of {self:?}");
        assert_eq!(y.len(), self.rows * self.outputs, "y is not [rows, outputs] of {self:?}");
    }
}

/// y = x·wᵀ, or y += x·wᵀ. Shapes: y \[rows, outputs\], x \[rows, inputs\], w \[outputs, inputs\].
pub fn forward(y: &mut [f32], x: &[f32], w: &[f32], shape: Shape, write: Write) {
    let _span = trace_span!("matmul forward", flop = shape.flop()).entered();
    shape.check(x, w, y);
    cpu::forward(y, x, w, shape, write);
}

/// dx = dy·w, or dx += dy·w. Shapes: dx \[rows, inputs\], dy \[rows, outputs\], w \[outputs, inputs\].
pub fn backward_input(dx: &mut [f32], dy: &[f32], w: &[f32], shape: Shape, write: Write) {
    let _span = trace_span!("matmul backward, input", flop = shape.flop()).entered();
    shape.check(dx, w, dy);
    cpu::backward_input(dx, dy, w, shape, write);
}

/// dw = dyᵀ·x, or dw += dyᵀ·x. Shapes: dw \[outputs, inputs\], dy \[rows, outputs\], x \[rows, inputs\].
pub fn backward_weight(dw: &mut [f32], dy: &[f32], x: &[f32], shape: Shape, write: Write) {
    let _span = trace_span!("matmul backward, weight", flop = shape.flop()).entered();
    shape.check(x, dw, dy);
    cpu::backward_weight(dw, dy, x, shape, write);
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    /// Sums of up to 400 products of magnitude below 1, against results of magnitude above 1: well below
    /// √400·6e-8·a few.
    const TOLERANCE: f64 = 2e-6;

    const SHAPES: [Shape; 6] = [
        Shape { rows: 1, inputs: 1, outputs: 1 },
        Shape { rows: 1, inputs: 33, outputs: 7 },
        Shape { rows: 5, inputs: 2, outputs: 300 },
        Shape { rows: 131, inputs: 37, outputs: 65 },
        Shape { rows: 300, inputs: 19, outputs: 259 },
        Shape { rows: 257, inputs: 128, outputs: 352 },
    ];

    fn operands(shape: Shape) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let Shape { rows, inputs, outputs } = shape;
        (random(rows * inputs, 1), random(outputs * inputs, 2), random(rows * outputs, 3))
    }

    #[test]
    fn forward_and_backward_agree_with_the_reference() {
        for shape in SHAPES {
            let (x, w, dy) = operands(shape);
            let (mut y, mut dx, mut dw) =
                (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()], vec![f32::NAN; w.len()]);
            forward(&mut y, &x, &w, shape, Write::Overwrite);
            backward_input(&mut dx, &dy, &w, shape, Write::Overwrite);
            backward_weight(&mut dw, &dy, &x, shape, Write::Overwrite);

            let (x, w, dy) = (to_f64(&x), to_f64(&w), to_f64(&dy));
            let (expected_dx, expected_dw) = reference::backward(&dy, &x, &w, shape);
            assert_close(&y, &reference::forward(&x, &w, shape), TOLERANCE);
            assert_close(&dx, &expected_dx, TOLERANCE);
            assert_close(&dw, &expected_dw, TOLERANCE);
        }
    }

    #[test]
    fn accumulating_adds_to_the_former_content() {
        for shape in SHAPES {
            let (x, w, dy) = operands(shape);
            let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
            forward(&mut y, &x, &w, shape, Write::Accumulate);
            backward_input(&mut dx, &dy, &w, shape, Write::Accumulate);
            backward_weight(&mut dw, &dy, &x, shape, Write::Accumulate);

            let sum = |a: &[f64], b: &[f64]| -> Vec<f64> {
                a.iter().zip(b).map(|(a, b)| a + b).collect()
            };
            let (x, w, dy) = (to_f64(&x), to_f64(&w), to_f64(&dy));
            let (expected_dx, expected_dw) = reference::backward(&dy, &x, &w, shape);
            assert_close(&y, &sum(&dy, &reference::forward(&x, &w, shape)), TOLERANCE);
            assert_close(&dx, &sum(&x, &expected_dx), TOLERANCE);
            assert_close(&dw, &sum(&w, &expected_dw), TOLERANCE);
        }
    }

    #[test]
    fn reference_gradients_are_central_differences() {
        let shape = Shape { rows: 3, inputs: 5, outputs: 4 };
        let (x, w, dy) = operands(shape);
        let (x, w, dy) = (to_f64(&x), to_f64(&w), to_f64(&dy));
        let (dx, dw) = reference::backward(&dy, &x, &w, shape);
        assert_close_f64(
            &dx,
            &differences(&x, |x| inner(&reference::forward(x, &w, shape), &dy)),
            1e-8,
        );
        assert_close_f64(
            &dw,
            &differences(&w, |w| inner(&reference::forward(&x, w, shape), &dy)),
            1e-8,
        );
    }

    #[test]
    fn no_rows_give_nothing() {
        let shape = Shape { rows: 0, inputs: 3, outputs: 2 };
        let mut dw = [1.0; 6];
        forward(&mut [], &[], &[1.0; 6], shape, Write::Overwrite);
        backward_input(&mut [], &[], &[1.0; 6], shape, Write::Overwrite);
        backward_weight(&mut dw, &[], &[], shape, Write::Accumulate);
        assert_eq!(dw, [1.0; 6]);
        backward_weight(&mut dw, &[], &[], shape, Write::Overwrite);
        assert_eq!(dw, [0.0; 6]);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let shape = Shape { rows: 700, inputs: 65, outputs: 350 };
        let (x, w, dy) = operands(shape);
        assert_same_on_any_number_of_threads(|| {
            let (mut y, mut dx, mut dw) =
                (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
            forward(&mut y, &x, &w, shape, Write::Overwrite);
            backward_input(&mut dx, &dy, &w, shape, Write::Overwrite);
            backward_weight(&mut dw, &dy, &x, shape, Write::Overwrite);
            [y, dx, dw].concat()
        });
    }
}
