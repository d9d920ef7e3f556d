//! Rotary position embedding on a device.

use crate::cuda::{Buffer, Device, Fault, Ids, Launch, Real, Source, ViewMut, count};
use cudarc::driver::PushKernelArg;

/// The kernels.
pub const SOURCE: Source = Source::new("rope.cu", include_str!("rope.cu"));

/// A [`super::Table`] on the device.
#[derive(Debug)]
pub struct Table {
    cos: Buffer<f32>,
    sin: Buffer<f32>,
    half: usize,
}

impl Table {
    /// Copies a table.
    ///
    /// # Errors
    /// [`Fault`] of the copies.
    pub fn upload(device: &Device, table: &super::Table) -> Result<Self, Fault> {
        Ok(Self {
            cos: device.upload(&table.cos)?,
            sin: device.upload(&table.sin)?,
            half: table.half,
        })
    }
}

/// Rotates every head of row r of x by the angles of positions\[r\], in place. Shapes: x \[rows, heads, head_dim\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward<R: Real>(
    device: &Device,
    x: &mut ViewMut<R>,
    positions: &Ids,
    table: &Table,
) -> Result<(), Fault> {
    rotate(device, "rope_forward", x, positions, table)
}

/// Rotates the gradient back, in place.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn backward<R: Real>(
    device: &Device,
    dx: &mut ViewMut<R>,
    positions: &Ids,
    table: &Table,
) -> Result<(), Fault> {
    rotate(device, "rope_backward", dx, positions, table)
}

fn rotate<R: Real>(
    device: &Device,
    name: &'static str,
    x: &mut ViewMut<R>,
    positions: &Ids,
    table: &Table,
) -> Result<(), Fault> {
    let (rows, half) = (positions.n_ids(), table.half);
    let heads = x.len() / (rows * 2 * half);
    assert_eq!(
        x.len(),
        rows * heads * 2 * half,
        "x is not [rows, heads, head_dim]: {} elements",
        x.len()
    );
    positions.check(table.cos.len() / half);
    let kernel = device.kernel::<R>(&SOURCE, name)?;
    let (n_heads, half_) = (count(heads), count(half));
    let mut arguments = kernel.arguments(device);
    arguments
        .arg(x)
        .arg(positions.buffer())
        .arg(&table.cos)
        .arg(&table.sin)
        .arg(&n_heads)
        .arg(&half_);
    // SAFETY: one block per row, and positions are below the table's.
    unsafe { kernel.launch(&mut arguments, Launch::rows(rows, heads * half)) }
}
