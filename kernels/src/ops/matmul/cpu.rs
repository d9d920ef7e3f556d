//! Each product is a product of views of the operands, cut into tiles.

use super::Shape;
use crate::Write;
use crate::matrix::{Matrix, MatrixMut, multiply_in_tiles};

pub(super) fn forward(y: &mut [f32], x: &[f32], w: &[f32], shape: Shape, write: Write) {
    let Shape { rows, inputs, outputs } = shape;
    let y = MatrixMut::new(y, rows, outputs);
    multiply_in_tiles(
        y,
        Matrix::new(x, rows, inputs),
        Matrix::new(w, outputs, inputs).transposed(),
        write,
    );
}

pub(super) fn backward_input(dx: &mut [f32], dy: &[f32], w: &[f32], shape: Shape, write: Write) {
    let Shape { rows, inputs, outputs } = shape;
    let dx = MatrixMut::new(dx, rows, inputs);
    multiply_in_tiles(dx, Matrix::new(dy, rows, outputs), Matrix::new(w, outputs, inputs), write);
}

pub(super) fn backward_weight(dw: &mut [f32], dy: &[f32], x: &[f32], shape: Shape, write: Write) {
    let Shape { rows, inputs, outputs } = shape;
    let dw = MatrixMut::new(dw, outputs, inputs);
    let dy = Matrix::new(dy, rows, outputs).transposed();
    multiply_in_tiles(dw, dy, Matrix::new(x, rows, inputs), write);
}
