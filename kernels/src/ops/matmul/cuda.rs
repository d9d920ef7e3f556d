//! The three products of a linear layer on a device. Rows of ours are columns of cuBLASLt's, so each is stated transposed.

use super::Shape;
use crate::Write;
use crate::cuda::{Base, Device, Fault, Operand, Product, Real, View, ViewMut};

/// y = x·wᵀ, or y += x·wᵀ. Shapes as on the CPU; y may be stored as f32.
///
/// # Errors
/// [`Fault::Product`].
pub fn forward<R: Real, Y: Real>(
    device: &Device,
    y: &mut ViewMut<Y>,
    x: &View<R>,
    w: &View<R>,
    shape: Shape,
    write: Write,
) -> Result<(), Fault> {
    let Shape { rows, inputs, outputs } = shape;
    check(shape, x.len(), w.len(), y.len());
    // yᵀ [outputs, rows] = w [outputs, inputs]·xᵀ [inputs, rows].
    let w = Operand { data: w, stride: inputs, transposed: true };
    let x = Operand { data: x, stride: inputs, transposed: false };
    let product = Product { m: outputs, n: rows, k: inputs };
    device.products().multiply::<R, Y>(device.stream(), y, base(write), w, x, product)
}

/// y = base + x·wᵀ: a linear layer at the end of a branch, with the residual connection. Shapes as on the CPU; base
/// \[rows, outputs\].
///
/// # Errors
/// [`Fault::Product`].
pub fn forward_onto<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    base: &View<R>,
    x: &View<R>,
    w: &View<R>,
    shape: Shape,
) -> Result<(), Fault> {
    let Shape { rows, inputs, outputs } = shape;
    check(shape, x.len(), w.len(), y.len());
    assert_eq!(base.len(), y.len(), "y and what it begins with differ in size");
    let w = Operand { data: w, stride: inputs, transposed: true };
    let x = Operand { data: x, stride: inputs, transposed: false };
    let product = Product { m: outputs, n: rows, k: inputs };
    device.products().multiply::<R, R>(device.stream(), y, Base::Matrix(base), w, x, product)
}

/// dx = dy·w, or dx += dy·w. Shapes as on the CPU; dx may be stored as f32.
///
/// # Errors
/// [`Fault::Product`].
pub fn backward_input<R: Real, X: Real>(
    device: &Device,
    dx: &mut ViewMut<X>,
    dy: &View<R>,
    w: &View<R>,
    shape: Shape,
    write: Write,
) -> Result<(), Fault> {
    let Shape { rows, inputs, outputs } = shape;
    check(shape, dx.len(), w.len(), dy.len());
    // dxᵀ [inputs, rows] = wᵀ [inputs, outputs]·dyᵀ [outputs, rows].
    let w = Operand { data: w, stride: inputs, transposed: false };
    let dy = Operand { data: dy, stride: outputs, transposed: false };
    let product = Product { m: inputs, n: rows, k: outputs };
    device.products().multiply::<R, X>(device.stream(), dx, base(write), w, dy, product)
}

/// dw += dyᵀ·x. Shapes as on the CPU; dw is f32.
///
/// # Errors
/// [`Fault::Product`].
pub fn backward_weight<R: Real>(
    device: &Device,
    dw: &mut ViewMut<f32>,
    dy: &View<R>,
    x: &View<R>,
    shape: Shape,
) -> Result<(), Fault> {
    let Shape { rows, inputs, outputs } = shape;
    check(shape, x.len(), dw.len(), dy.len());
    // dwᵀ [inputs, outputs] += xᵀ [inputs, rows]·dy [rows, outputs].
    let x = Operand { data: x, stride: inputs, transposed: false };
    let dy = Operand { data: dy, stride: outputs, transposed: true };
    let product = Product { m: inputs, n: outputs, k: rows };
    let base = base(Write::Accumulate);
    device.products().multiply::<R, f32>(device.stream(), dw, base, x, dy, product)
}

fn base<'a, T>(write: Write) -> Base<'a, View<'a, T>> {
    match write {
        Write::Overwrite => Base::Nothing,
        Write::Accumulate => Base::Itself,
    }
}

fn check(shape: Shape, x: usize, w: usize, y: usize) {
    assert_eq!(x, shape.rows * shape.inputs, "x is not [rows, inputs] of {shape:?}");
    assert_eq!(w, shape.outputs * shape.inputs, "w is not [outputs, inputs] of {shape:?}");
    assert_eq!(y, shape.rows * shape.outputs, "y is not [rows, outputs] of {shape:?}");
}
