//! The bias of a linear layer: y\[r, i\] += b\[i\].
//!
//! Backward adds up columns, dbᵢ = Σ over rows of dy\[r, i\], in a fixed order. The gradient of y itself passes unchanged.

mod cpu;
pub mod cuda;

use crate::Write;
use tracing::trace_span;

/// y\[r\] += bias for every row. Shapes: y \[rows, width\], bias \[width\].
pub fn forward(y: &mut [f32], bias: &[f32]) {
    let _span = trace_span!("bias forward").entered();
    check(y, bias);
    cpu::forward(y, bias);
}

/// dbias = or += Σ over rows of dy\[r\]. Shapes: dbias \[width\], dy \[rows, width\].
pub fn backward(dbias: &mut [f32], dy: &[f32], write: Write) {
    let _span = trace_span!("bias backward").entered();
    check(dy, dbias);
    cpu::backward(dbias, dy, write);
}

fn check(y: &[f32], bias: &[f32]) {
    let width = bias.len();
    let whole = if width == 0 { y.is_empty() } else { y.len().is_multiple_of(width) };
    assert!(whole, "{} elements are not [rows, width] with width {width}", y.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn the_bias_is_added_to_every_row() {
        let mut y = [1.0, 2.0, 3.0, 4.0];
        forward(&mut y, &[10.0, 20.0]);
        assert_eq!(y, [11.0, 22.0, 13.0, 24.0]);
    }

    #[test]
    fn the_gradient_is_or_grows_by_the_sums_of_the_columns() {
        for (rows, width) in [(0, 3), (1, 1), (7, 33), (1001, 100), (3, 20_000)] {
            let dy = random(rows * width, 1);
            let column = |i| (0..rows).map(|r| f64::from(dy[r * width + i])).sum::<f64>();
            let mut dbias = vec![f32::NAN; width];
            backward(&mut dbias, &dy, Write::Overwrite);
            assert_close(&dbias, &(0..width).map(column).collect::<Vec<_>>(), 1e-6);
            let mut grown = vec![1.0; width];
            backward(&mut grown, &dy, Write::Accumulate);
            let expected: Vec<f64> = (0..width).map(|i| 1.0 + column(i)).collect();
            assert_close(&grown, &expected, 1e-6);
        }
    }

    #[test]
    #[should_panic(expected = "5 elements are not [rows, width] with width 2")]
    fn a_ragged_last_row_is_refused() {
        forward(&mut [0.0; 5], &[0.0; 2]);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (dy, bias) = (random(1003 * 96, 1), random(96, 2));
        assert_same_on_any_number_of_threads(|| {
            let (mut y, mut dbias) = (dy.clone(), bias.clone());
            forward(&mut y, &bias);
            backward(&mut dbias, &y, Write::Accumulate);
            [y, dbias].concat()
        });
    }
}
