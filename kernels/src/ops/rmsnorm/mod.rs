//! Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467).
//!
//! Per row, rstd = (mean(x²) + ε)^-½ and yᵢ = xᵢ·rstd·wᵢ. With gᵢ = dyᵢ·wᵢ,
//! dxᵢ = rstd·(gᵢ − xᵢ·rstd²·mean(g·x)) and dwᵢ = Σ over rows of dyᵢ·xᵢ·rstd.

mod cpu;

use crate::Write;

/// y = x·rstd·weight per row, and rstd is kept for [`backward`]. Shapes: y and x \[rows, width\], rstd \[rows\],
/// weight \[width\].
pub fn forward(y: &mut [f32], rstd: &mut [f32], x: &[f32], weight: &[f32], epsilon: f32) {
    check(y, rstd, x, weight);
    cpu::forward(y, rstd, x, weight, epsilon);
}

/// dx = or += the gradient of x; dweight += the gradient of the weight. Shapes as in [`forward`].
///
/// With [`Write::Accumulate`], dx may be the gradient of the residual stream that x was read from.
pub fn backward(
    dx: &mut [f32],
    dweight: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
    write: Write,
) {
    check(dx, rstd, x, weight);
    check(dy, rstd, x, dweight);
    cpu::backward(dx, dweight, dy, x, weight, rstd, write);
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

    #[test]
    fn forward_and_backward_agree_with_the_reference() {
        for (rows, width) in SHAPES {
            let (x, weight, dy) = operands(rows, width);
            let (mut y, mut rstd) = (vec![f32::NAN; x.len()], vec![f32::NAN; rows]);
            let (mut dx, mut dweight) = (vec![f32::NAN; x.len()], vec![0.0; width]);
            forward(&mut y, &mut rstd, &x, &weight, EPSILON);
            backward(&mut dx, &mut dweight, &dy, &x, &weight, &rstd, Write::Overwrite);
            let mut twice = dx.clone();
            backward(&mut twice, &mut vec![0.0; width], &dy, &x, &weight, &rstd, Write::Accumulate);

            let (x, weight, dy) = (to_f64(&x), to_f64(&weight), to_f64(&dy));
            let (expected_dx, expected_dweight) =
                reference::backward(&dy, &x, &weight, f64::from(EPSILON));
            assert_close(&y, &reference::forward(&x, &weight, f64::from(EPSILON)), 1e-6);
            assert_close(&dweight, &expected_dweight, 2e-6);
            if width > 1 {
                // With one column dx is the difference of two equal numbers.
                assert_close(&dx, &expected_dx, 2e-6);
                let doubled: Vec<f64> = expected_dx.iter().map(|dx| 2.0 * dx).collect();
                assert_close(&twice, &doubled, 2e-6);
            }
        }
    }

    #[test]
    fn reference_gradients_are_central_differences() {
        let (x, weight, dy) = operands(3, 5);
        let (x, weight, dy, epsilon) =
            (to_f64(&x), to_f64(&weight), to_f64(&dy), f64::from(EPSILON));
        let (dx, dweight) = reference::backward(&dy, &x, &weight, epsilon);
        assert_close_f64(
            &dx,
            &differences(&x, |x| inner(&reference::forward(x, &weight, epsilon), &dy)),
            1e-7,
        );
        assert_close_f64(
            &dweight,
            &differences(&weight, |w| inner(&reference::forward(&x, w, epsilon), &dy)),
            1e-7,
        );
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (rows, width) = (1001, 100);
        let (x, weight, dy) = operands(rows, width);
        assert_same_on_any_number_of_threads(|| {
            let (mut y, mut rstd) = (vec![0.0; x.len()], vec![0.0; rows]);
            let (mut dx, mut dweight) = (vec![0.0; x.len()], vec![0.0; width]);
            forward(&mut y, &mut rstd, &x, &weight, EPSILON);
            backward(&mut dx, &mut dweight, &dy, &x, &weight, &rstd, Write::Overwrite);
            [y, rstd, dx, dweight].concat()
        });
    }
}
