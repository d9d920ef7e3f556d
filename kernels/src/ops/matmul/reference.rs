//! The linear layer as plain loops in `f64`.

use super::Shape;

pub(super) fn forward(x: &[f64], w: &[f64], shape: Shape) -> Vec<f64> {
    let Shape { rows, inputs, outputs } = shape;
    let mut y = vec![0.0; rows * outputs];
    for r in 0..rows {
        for o in 0..outputs {
            for i in 0..inputs {
                y[r * outputs + o] += x[r * inputs + i] * w[o * inputs + i];
            }
        }
    }
    y
}

/// dx and dw.
pub(super) fn backward(dy: &[f64], x: &[f64], w: &[f64], shape: Shape) -> (Vec<f64>, Vec<f64>) {
    let Shape { rows, inputs, outputs } = shape;
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    for r in 0..rows {
        for o in 0..outputs {
            for i in 0..inputs {
                dx[r * inputs + i] += dy[r * outputs + o] * w[o * inputs + i];
                dw[o * inputs + i] += dy[r * outputs + o] * x[r * inputs + i];
            }
        }
    }
    (dx, dw)
}
