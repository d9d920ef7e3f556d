//! The three products of a linear layer on a device, with what follows them on their way to memory. Rows of ours are columns of
//! cuBLASLt's, so each is stated transposed. Where cuBLASLt has no algorithm that does the rest too, kernels do it.

use super::Shape;
use crate::Write;
use crate::activation::{self, Activation};
use crate::bias;
use crate::cuda::{
    Base, Device, Epilogue, Fault, Operand, Product, Real, View, ViewMut, add_partials,
};

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
    forward_apart(device, y, shape.outputs, x, w, shape, write)
}

/// The same where the rows of y begin `stride` elements apart: y \[rows, stride\], of which the first outputs are written.
pub(crate) fn forward_apart<R: Real, Y: Real>(
    device: &Device,
    y: &mut ViewMut<Y>,
    stride: usize,
    x: &View<R>,
    w: &View<R>,
    shape: Shape,
    write: Write,
) -> Result<(), Fault> {
    rows_out(device, y, stride, base(write), x, w, shape, Epilogue::Nothing).map(drop)
}

/// What a linear layer adds to its product.
#[derive(Debug, Clone, Copy)]
pub struct Added<'a, 'b, R> {
    /// The residual connection at the end of a branch, \[rows, outputs\].
    pub base: Option<&'a View<'b, R>>,
    /// \[outputs\]
    pub bias: Option<&'a View<'b, R>>,
}

/// y = base + x·wᵀ + bias. Shapes as on the CPU.
///
/// # Errors
/// [`Fault::Product`], and those of the launch.
pub fn forward_adding<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    x: &View<R>,
    w: &View<R>,
    added: Added<R>,
    shape: Shape,
) -> Result<(), Fault> {
    let Added { base, bias } = added;
    let base = || base.map_or(Base::Nothing, Base::Matrix);
    let Some(bias) = bias else {
        return rows_out(device, y, shape.outputs, base(), x, w, shape, Epilogue::Nothing)
            .map(drop);
    };
    if rows_out(device, y, shape.outputs, base(), x, w, shape, Epilogue::Bias(bias))? {
        return Ok(());
    }
    rows_out(device, y, shape.outputs, base(), x, w, shape, Epilogue::Nothing)?;
    bias::cuda::forward(device, y, bias)
}

/// sums = x·wᵀ + bias and y = GELU of them, by the approximation ([`Activation::GeluTanh`]). Shapes as on the CPU, sums as y.
///
/// # Errors
/// [`Fault::Product`], and those of the launches.
pub fn forward_gelu<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    sums: &mut ViewMut<R>,
    x: &View<R>,
    w: &View<R>,
    bias: Option<&View<R>>,
    shape: Shape,
) -> Result<(), Fault> {
    assert_eq!(y.len(), sums.len(), "GELU and what it is given differ in size");
    let epilogue = Epilogue::Gelu { sums: &mut sums.slice_mut(0..y.len()), bias };
    if rows_out(device, y, shape.outputs, Base::Nothing, x, w, shape, epilogue)? {
        return Ok(());
    }
    forward_adding(device, sums, x, w, Added { base: None, bias }, shape)?;
    activation::cuda::forward(device, y, &sums.as_view(), Activation::GeluTanh)
}

/// yᵀ \[outputs, rows\] = w \[outputs, inputs\]·xᵀ \[inputs, rows\]. False where there is no such epilogue.
#[expect(clippy::too_many_arguments, reason = "the operands, and how y lies")]
fn rows_out<R: Real, Y: Real>(
    device: &Device,
    y: &mut ViewMut<Y>,
    stride: usize,
    base: Base<View<Y>>,
    x: &View<R>,
    w: &View<R>,
    shape: Shape,
    epilogue: Epilogue<Y>,
) -> Result<bool, Fault> {
    let Shape { rows, inputs, outputs } = shape;
    check(shape, x.len(), w.len(), y.len(), stride);
    if let Base::Matrix(base) = base {
        assert_eq!(base.len(), y.len(), "y and what it begins with differ in size");
    }
    let w = Operand { data: w, stride: inputs, transposed: true };
    let x = Operand { data: x, stride: inputs, transposed: false };
    let product = Product { m: outputs, n: rows, k: inputs, stride };
    device.products().multiply::<R, Y>(device.stream(), y, base, w, x, product, epilogue)
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
    backward_input_apart(device, dx, dy, shape.outputs, w, shape, write)
}

/// The same where the rows of dy begin `stride` elements apart: dy \[rows, stride\], of which the first outputs are read.
pub(crate) fn backward_input_apart<R: Real, X: Real>(
    device: &Device,
    dx: &mut ViewMut<X>,
    dy: &View<R>,
    stride: usize,
    w: &View<R>,
    shape: Shape,
    write: Write,
) -> Result<(), Fault> {
    rows_back(device, dx, base(write), dy, stride, w, shape, Epilogue::Nothing).map(drop)
}

/// dsums = dy·w ⊙ GELU′(sums): [`backward_input`] of a layer whose input is what [`forward_gelu`] of the layer before it gave, and
/// that one's activation. dsums and sums as dx.
///
/// # Errors
/// [`Fault::Product`], and those of memory and the launch.
pub fn backward_gelu<R: Real>(
    device: &Device,
    dsums: &mut ViewMut<R>,
    dy: &View<R>,
    w: &View<R>,
    sums: &View<R>,
    shape: Shape,
) -> Result<(), Fault> {
    let epilogue = Epilogue::GeluSlope(sums);
    if rows_back(device, dsums, Base::Nothing, dy, shape.outputs, w, shape, epilogue)? {
        return Ok(());
    }
    let mut dx = device.scratch::<R>(dsums.len())?;
    backward_input(device, &mut dx.as_view_mut(), dy, w, shape, Write::Overwrite)?;
    activation::cuda::backward(device, dsums, &dx.as_view(), sums, Activation::GeluTanh)
}

/// dxᵀ \[inputs, rows\] = wᵀ \[inputs, outputs\]·dyᵀ \[outputs, rows\]. False where there is no such epilogue.
#[expect(clippy::too_many_arguments, reason = "the operands, and how dy lies")]
fn rows_back<R: Real, X: Real>(
    device: &Device,
    dx: &mut ViewMut<X>,
    base: Base<View<X>>,
    dy: &View<R>,
    stride: usize,
    w: &View<R>,
    shape: Shape,
    epilogue: Epilogue<X>,
) -> Result<bool, Fault> {
    let Shape { rows, inputs, outputs } = shape;
    check(shape, dx.len(), w.len(), dy.len(), stride);
    let w = Operand { data: w, stride: inputs, transposed: false };
    let dy = Operand { data: dy, stride, transposed: false };
    let product = Product { m: inputs, n: rows, k: outputs, stride: inputs };
    device.products().multiply::<R, X>(device.stream(), dx, base, w, dy, product, epilogue)
}

/// dw += dyᵀ·x, and dbias += Σ over rows of dy\[r\] where there is one. Shapes as on the CPU; dw and dbias are f32.
///
/// # Errors
/// [`Fault::Product`], and those of memory and the launches.
pub fn backward_weight<R: Real>(
    device: &Device,
    dw: &mut ViewMut<f32>,
    dbias: Option<&mut ViewMut<f32>>,
    dy: &View<R>,
    x: &View<R>,
    shape: Shape,
) -> Result<(), Fault> {
    let Some(dbias) = dbias else {
        return backward_weight_apart(device, dw, dy, shape.outputs, x, shape);
    };
    assert_eq!(dbias.len(), shape.outputs, "dbias is not [outputs] of {shape:?}");
    let mut sums = device.scratch::<f32>(shape.outputs)?;
    let epilogue = Epilogue::SumsOfB(&mut sums.as_view_mut());
    if outer(device, dw, dy, shape.outputs, x, shape, epilogue)? {
        // cuBLASLt writes them over what is there.
        return add_partials(device, dbias, &sums, 1, 0);
    }
    backward_weight_apart(device, dw, dy, shape.outputs, x, shape)?;
    bias::cuda::backward(device, dbias, dy)
}

/// dw += dyᵀ·x where the rows of dy begin `stride` elements apart: dy \[rows, stride\], of which the first outputs are read.
pub(crate) fn backward_weight_apart<R: Real>(
    device: &Device,
    dw: &mut ViewMut<f32>,
    dy: &View<R>,
    stride: usize,
    x: &View<R>,
    shape: Shape,
) -> Result<(), Fault> {
    outer(device, dw, dy, stride, x, shape, Epilogue::Nothing).map(drop)
}

/// dwᵀ \[inputs, outputs\] += xᵀ \[inputs, rows\]·dy \[rows, outputs\]. False where there is no such epilogue.
fn outer<R: Real>(
    device: &Device,
    dw: &mut ViewMut<f32>,
    dy: &View<R>,
    stride: usize,
    x: &View<R>,
    shape: Shape,
    epilogue: Epilogue<f32>,
) -> Result<bool, Fault> {
    let Shape { rows, inputs, outputs } = shape;
    check(shape, x.len(), dw.len(), dy.len(), stride);
    let x = Operand { data: x, stride: inputs, transposed: false };
    let dy = Operand { data: dy, stride, transposed: true };
    let product = Product { m: inputs, n: outputs, k: rows, stride: inputs };
    let base = base(Write::Accumulate);
    device.products().multiply::<R, f32>(device.stream(), dw, base, x, dy, product, epilogue)
}

fn base<'a, T>(write: Write) -> Base<'a, View<'a, T>> {
    match write {
        Write::Overwrite => Base::Nothing,
        Write::Accumulate => Base::Itself,
    }
}

fn check(shape: Shape, x: usize, w: usize, y: usize, stride: usize) {
    assert_eq!(x, shape.rows * shape.inputs, "x is not [rows, inputs] of {shape:?}");
    assert_eq!(w, shape.outputs * shape.inputs, "w is not [outputs, inputs] of {shape:?}");
    assert!(shape.outputs <= stride, "rows of {shape:?} do not fit into {stride} elements");
    assert_eq!(y, shape.rows * stride, "y is not [rows, {stride}] of {shape:?}");
}
