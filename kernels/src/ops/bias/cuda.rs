//! The bias of a linear layer on a device.

use crate::cuda::{
    Device, Fault, Launch, Real, RowBlocks, Source, View, ViewMut, add_partials, count,
};
use cudarc::driver::PushKernelArg;

/// The kernels.
pub const SOURCE: Source = Source::new("bias.cu", include_str!("bias.cu"));

/// y\[r\] += bias for every row. Shapes: y \[rows, width\], bias \[width\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward<R: Real>(device: &Device, y: &mut ViewMut<R>, bias: &View<R>) -> Result<(), Fault> {
    let width = bias.len();
    let rows = rows_of(y.len(), width);
    let kernel = device.kernel::<R>(&SOURCE, "bias_forward")?;
    let width_ = count(width);
    let mut arguments = kernel.arguments(device);
    arguments.arg(y).arg(bias).arg(&width_);
    // SAFETY: one block per row of y, which is as wide as the bias.
    unsafe { kernel.launch(&mut arguments, Launch::rows(rows, width)) }
}

/// dbias += Σ over rows of dy\[r\]. Shapes: dbias \[width\], dy \[rows, width\].
///
/// # Errors
/// [`Fault`] of the launches.
pub fn backward<R: Real>(
    device: &Device,
    dbias: &mut ViewMut<f32>,
    dy: &View<R>,
) -> Result<(), Fault> {
    let width = dbias.len();
    let rows = rows_of(dy.len(), width);
    let RowBlocks { blocks, rows_per_block } = RowBlocks::of(rows);
    let mut partials = device.scratch::<f32>(blocks * width)?;
    let kernel = device.kernel::<R>(&SOURCE, "bias_backward")?;
    let (n_rows, n_columns) = (count(rows), count(width));
    let mut arguments = kernel.arguments(device);
    arguments.arg(&mut *partials).arg(dy).arg(&n_rows).arg(&n_columns).arg(&rows_per_block);
    // SAFETY: partials are [blocks, width], and the kernel stops at the last row and column.
    unsafe { kernel.launch(&mut arguments, Launch::columns(blocks, width))? };
    add_partials(device, dbias, &partials, blocks, 0)
}

fn rows_of(n: usize, width: usize) -> usize {
    assert!(n.is_multiple_of(width), "{n} elements are not [rows, width] with width {width}");
    n / width
}
