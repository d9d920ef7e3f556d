//! Layer normalisation on a device.

use crate::Write;
use crate::cuda::{
    Device, Fault, Launch, Real, RowBlocks, Source, View, ViewMut, add_partials, aligned_rows,
    count,
};
use cudarc::driver::{DevicePtr, PushKernelArg};

/// The kernels.
pub const SOURCE: Source = Source::new("layernorm.cu", include_str!("layernorm.cu"));

/// What a row leaves for backward.
#[derive(Debug)]
pub struct Statistics<'a, 'b> {
    /// \[rows\]
    pub mean: &'a mut ViewMut<'b, f32>,
    /// \[rows\]
    pub rstd: &'a mut ViewMut<'b, f32>,
}

/// y = x̂·weight + bias per row; mean and rstd are kept. Shapes: y and x \[rows, width\], weight and bias \[width\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    statistics: Statistics,
    x: &View<R>,
    weight: &View<R>,
    bias: &View<R>,
    epsilon: f32,
) -> Result<(), Fault> {
    let Statistics { mean, rstd } = statistics;
    let (rows, width) =
        check([y.len(), x.len()], [mean.len(), rstd.len()], [weight.len(), bias.len()]);
    let kernel = device.kernel::<R>(&SOURCE, "layernorm_forward")?;
    let read = [x, weight, bias].map(|array| array.device_ptr(device.stream()).0);
    let starts = [read.as_slice(), &[y.device_ptr(device.stream()).0]].concat();
    let (columns, aligned) = (count(width), aligned_rows::<R>(width, &starts));
    let mut arguments = kernel.arguments(device);
    arguments.arg(y).arg(mean).arg(rstd).arg(x).arg(weight).arg(bias);
    arguments.arg(&columns).arg(&epsilon).arg(&aligned);
    // SAFETY: one block per row, all rows as wide as weight and bias.
    unsafe { kernel.launch(&mut arguments, Launch::rows_in_sixteens::<R>(rows, width, aligned)) }
}

/// dx = or += the gradient of x; dweight and dbias grow. Shapes as in [`forward`].
///
/// # Errors
/// [`Fault`] of the launches.
#[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
pub fn backward<R: Real>(
    device: &Device,
    dx: &mut ViewMut<R>,
    dweight: &mut ViewMut<f32>,
    dbias: &mut ViewMut<f32>,
    dy: &View<R>,
    x: &View<R>,
    mean: &View<f32>,
    rstd: &View<f32>,
    weight: &View<R>,
    write: Write,
) -> Result<(), Fault> {
    let (rows, width) =
        check([dx.len(), x.len()], [mean.len(), rstd.len()], [weight.len(), dbias.len()]);
    check([dy.len(), x.len()], [mean.len(), rstd.len()], [dweight.len(), dbias.len()]);
    let RowBlocks { blocks, rows_per_block } = RowBlocks::of(rows);
    let mut partials = device.scratch::<f32>(blocks * 2 * width)?;
    let read = [dy, x, weight].map(|array| array.device_ptr(device.stream()).0);
    let starts = [read.as_slice(), &[dx.device_ptr(device.stream()).0]].concat();
    let aligned = aligned_rows::<R>(width, &starts);
    let launch = Launch::rows_in_sixteens::<R>(blocks, width, aligned);
    let (name, launch) = match launch.with_shared_floats(2 * width) {
        Some(launch) if rows_per_block > 1 => ("layernorm_backward", launch),
        _ => ("layernorm_backward_in_place", launch),
    };
    let kernel = device.kernel::<R>(&SOURCE, name)?;
    let (n_rows, n_columns, accumulate) =
        (count(rows), count(width), u32::from(write == Write::Accumulate));
    let mut arguments = kernel.arguments(device);
    arguments.arg(dx).arg(&mut *partials).arg(dy).arg(x).arg(mean).arg(rstd).arg(weight);
    arguments.arg(&n_rows).arg(&n_columns).arg(&rows_per_block).arg(&accumulate).arg(&aligned);
    // SAFETY: partials are [blocks, 2·width], and the kernel stops at the last row.
    unsafe { kernel.launch(&mut arguments, launch)? };
    add_partials(device, dweight, &partials, blocks, 0)?;
    add_partials(device, dbias, &partials, blocks, width)
}

fn check(elements: [usize; 2], rows: [usize; 2], widths: [usize; 2]) -> (usize, usize) {
    let ([y, x], [mean, rstd], [weight, bias]) = (elements, rows, widths);
    assert_eq!(x, rstd * weight, "x is not [rows, width] of {rstd} × {weight}");
    assert_eq!(y, x, "rows in and out differ in size");
    assert_eq!(mean, rstd, "mean and rstd differ in length");
    assert_eq!(bias, weight, "bias and weight differ in length");
    (rstd, weight)
}
