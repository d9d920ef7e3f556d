//! Root-mean-square normalisation on a device.

use crate::Write;
use crate::cuda::{
    Device, Fault, Launch, Real, RowBlocks, Source, View, ViewMut, add_partials, aligned_rows,
    count,
};
use cudarc::driver::{DevicePtr, PushKernelArg};

/// The kernels.
pub const SOURCE: Source = Source::new("rmsnorm.cu", include_str!("rmsnorm.cu"));

/// What does not depend on the row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Added to the mean square.
    pub epsilon: f32,
    /// Added to the weight.
    pub offset: f32,
}

/// y = x·rstd·(offset + weight) per row, and rstd is kept. Shapes: y and x \[rows, width\], rstd \[rows\], weight \[width\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    rstd: &mut ViewMut<f32>,
    x: &View<R>,
    weight: &View<R>,
    settings: Settings,
) -> Result<(), Fault> {
    let (rows, width) = check(y.len(), rstd.len(), x.len(), weight.len());
    let kernel = device.kernel::<R>(&SOURCE, "rmsnorm_forward")?;
    let read = [x, weight].map(|array| array.device_ptr(device.stream()).0);
    let starts = [read.as_slice(), &[y.device_ptr(device.stream()).0]].concat();
    let (columns, aligned) = (count(width), aligned_rows::<R>(width, &starts));
    let mut arguments = kernel.arguments(device);
    arguments.arg(y).arg(rstd).arg(x).arg(weight).arg(&columns);
    arguments.arg(&settings.epsilon).arg(&settings.offset).arg(&aligned);
    // SAFETY: one block per row, all rows as wide as the weight.
    unsafe { kernel.launch(&mut arguments, Launch::rows_in_sixteens::<R>(rows, width, aligned)) }
}

/// dx = or += the gradient of x; dweight += the gradient of the weight. Shapes as in [`forward`].
///
/// # Errors
/// [`Fault`] of the launches.
#[expect(clippy::too_many_arguments, reason = "forward's, and a gradient of each")]
pub fn backward<R: Real>(
    device: &Device,
    dx: &mut ViewMut<R>,
    dweight: &mut ViewMut<f32>,
    dy: &View<R>,
    x: &View<R>,
    weight: &View<R>,
    rstd: &View<f32>,
    offset: f32,
    write: Write,
) -> Result<(), Fault> {
    let (rows, width) = check(dx.len(), rstd.len(), x.len(), weight.len());
    check(dy.len(), rstd.len(), x.len(), dweight.len());
    let RowBlocks { blocks, rows_per_block } = RowBlocks::of(rows);
    let mut partials = device.scratch::<f32>(blocks * width)?;
    let read = [dy, x, weight].map(|array| array.device_ptr(device.stream()).0);
    let starts = [read.as_slice(), &[dx.device_ptr(device.stream()).0]].concat();
    let aligned = aligned_rows::<R>(width, &starts);
    let launch = Launch::rows_in_sixteens::<R>(blocks, width, aligned);
    let (name, launch) = match launch.with_shared_floats(width) {
        Some(launch) if rows_per_block > 1 => ("rmsnorm_backward", launch),
        _ => ("rmsnorm_backward_in_place", launch),
    };
    let kernel = device.kernel::<R>(&SOURCE, name)?;
    let (n_rows, n_columns, accumulate) =
        (count(rows), count(width), u32::from(write == Write::Accumulate));
    let mut arguments = kernel.arguments(device);
    arguments.arg(dx).arg(&mut *partials).arg(dy).arg(x).arg(weight).arg(rstd);
    arguments.arg(&n_rows).arg(&n_columns).arg(&rows_per_block).arg(&offset).arg(&accumulate);
    arguments.arg(&aligned);
    // SAFETY: partials are [blocks, width], and the kernel stops at the last row.
    unsafe { kernel.launch(&mut arguments, launch)? };
    add_partials(device, dweight, &partials, blocks, 0)
}

fn check(y: usize, rows: usize, x: usize, width: usize) -> (usize, usize) {
    assert_eq!(x, rows * width, "x is not [rows, width] of {rows} × {width}");
    assert_eq!(y, x, "rows in and out differ in size");
    (rows, width)
}
