//! Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467).
//!
//! Per row, rstd = (mean(x²) + ε)^-½ and yᵢ = xᵢ·rstd·(o + wᵢ) with an offset o: 0 for Llama, 1 for Gemma, whose
//! weights are differences from one. With gᵢ = dyᵢ·(o + wᵢ), dxᵢ = rstd·(gᵢ − xᵢ·rstd²·mean(g·x)) and
//! dwᵢ = Σ over rows of dyᵢ·xᵢ·rstd. A row may be a token's or, for queries and keys, a single head's.

mod cpu;
pub mod cuda;

use crate::Write;
use tracing::trace_span;

/// y = x·rstd·(offset + weight) per row, and rstd is kept for [`backward`]. Shapes: y and x \[rows, width\], rstd \[rows\],
/// weight \[width\].
pub fn forward(
    y: &mut [f32],
    rstd: &mut [f32],
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    offset: f32,
) {
    let _span = trace_span!("rmsnorm forward").entered();
    check(y, rstd, x, weight);
    cpu::forward(y, rstd, x, weight, epsilon, offset);
}

/// dx = or += the gradient of x, as `write` says; dweight = or += that of the weight, as `write_weight` says. Shapes as in
/// [`forward`].
///
/// With [`Write::Accumulate`], dx may be the gradient of the residual stream that x was read from.
#[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
pub fn backward(
    dx: &mut [f32],
    dweight: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
    offset: f32,
    write: Write,
    write_weight: Write,
) {
    let _span = trace_span!("rmsnorm backward").entered();
    check(dx, rstd, x, weight);
    check(dy, rstd, x, dweight);
    cpu::backward(dx, dweight, dy, x, weight, rstd, offset, write, write_weight);
}

fn check(y: &[f32], rstd: &[f32], x: &[f32], weight: &[f32]) {
    assert_eq!(
        x.len(),
        rstd.len() * weight.len(),
        "x is not [rows, width] of {} × {}",
        rstd.len(),
        weight.len()
    );
    assert_eq!(y.len(), x.len(), "rows in and out differ in size");
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const EPSILON: f32 = 1e-5;
    const SHAPES: [(usize, usize); 5] = [(1, 1), (3, 7), (130, 33), (401, 128), (67, 770)];

    fn operands(rows: usize, width: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        (random(rows * width, 1), random(width, 2), random(rows * width, 3))
    }

    const OFFSETS: [f32; 2] = [0.0, 1.0];

    /// The weight as the reference takes it.
    fn exact_weight(weight: &[f32], offset: f32) -> Vec<f64> {
        weight.iter().map(|&w| f64::from(offset) + f64::from(w)).collect()
    }

    #[test]
    fn forward_and_backward_agree_with_the_reference() {
        for ((rows, width), offset) in SHAPES.into_iter().flat_map(|s| OFFSETS.map(|o| (s, o))) {
            let (x, w, dy) = operands(rows, width);
            let (mut y, mut rstd) = (vec![f32::NAN; x.len()], vec![f32::NAN; rows]);
            let (mut dx, mut dw) = (vec![f32::NAN; x.len()], vec![f32::NAN; width]);
            let (mut grown, mut grown_dw) = (vec![1.0; x.len()], vec![1.0; width]);
            forward(&mut y, &mut rstd, &x, &w, EPSILON, offset);
            let [over, add] = [Write::Overwrite, Write::Accumulate];
            backward(&mut dx, &mut dw, &dy, &x, &w, &rstd, offset, over, over);
            backward(&mut grown, &mut grown_dw, &dy, &x, &w, &rstd, offset, add, add);

            let (x, w, dy) = (to_f64(&x), exact_weight(&w, offset), to_f64(&dy));
            let (expected_dx, expected_dw) = reference::backward(&dy, &x, &w, f64::from(EPSILON));
            let plus =
                |gradient: &[f64]| -> Vec<f64> { gradient.iter().map(|g| g + 1.0).collect() };
            assert_close(&y, &reference::forward(&x, &w, f64::from(EPSILON)), 1e-6);
            assert_close(&dw, &expected_dw, 2e-6);
            assert_close(&grown_dw, &plus(&expected_dw), 2e-6);
            if width > 1 {
                // With one column dx is the difference of two equal numbers.
                assert_close(&dx, &expected_dx, 2e-6);
                assert_close(&grown, &plus(&expected_dx), 2e-6);
            }
        }
    }

    #[test]
    fn reference_gradients_are_central_differences() {
        let (x, weight, dy) = operands(3, 5);
        let (x, weight, dy, epsilon) =
            (to_f64(&x), to_f64(&weight), to_f64(&dy), f64::from(EPSILON));
        let (dx, dweight) = reference::backward(&dy, &x, &weight, epsilon);
        let value = |x: &[f64], w: &[f64]| inner(&reference::forward(x, w, epsilon), &dy);
        assert_close_f64(&dx, &differences(&x, |x| value(x, &weight)), 1e-7);
        assert_close_f64(&dweight, &differences(&weight, |w| value(&x, w)), 1e-7);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (rows, width) = (1001, 100);
        let (x, w, dy) = operands(rows, width);
        assert_same_on_any_number_of_threads(|| {
            let (mut y, mut rstd) = (vec![0.0; x.len()], vec![0.0; rows]);
            let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; width]);
            forward(&mut y, &mut rstd, &x, &w, EPSILON, 1.0);
            let write = Write::Overwrite;
            backward(&mut dx, &mut dw, &dy, &x, &w, &rstd, 1.0, write, write);
            [y, rstd, dx, dw].concat()
        });
    }
}
