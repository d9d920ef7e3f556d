//! The embedding on a device. Backward wants the rows grouped by their token, which the host does once per batch.

use crate::Write;
use crate::cuda::{Buffer, Device, Fault, Ids, Launch, Real, Source, View, ViewMut, count};
use cudarc::driver::PushKernelArg;

/// The kernels.
pub const SOURCE: Source = Source::new("embedding.cu", include_str!("embedding.cu"));

/// y\[r\] = or += table\[ids\[r\]\]. Shapes: y \[rows, width\], table \[vocabulary, width\], ids \[rows\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    table: &View<R>,
    ids: &Ids,
    width: usize,
    write: Write,
) -> Result<(), Fault> {
    assert_eq!(
        y.len(),
        ids.n_ids() * width,
        "y is not [rows, width] for {} ids of width {width}",
        ids.n_ids()
    );
    ids.check(table.len() / width);
    let kernel = device.kernel::<R>(&SOURCE, "embedding_forward")?;
    let (width_, accumulate) = (count(width), u32::from(write == Write::Accumulate));
    let mut arguments = kernel.arguments(device);
    arguments.arg(y).arg(table).arg(ids.buffer()).arg(&width_).arg(&accumulate);
    // SAFETY: one block per id and row of y; ids are below the table's rows.
    unsafe { kernel.launch(&mut arguments, Launch::rows(ids.n_ids(), width)) }
}

/// The rows of a batch, grouped by token.
#[derive(Debug)]
pub struct Groups {
    /// Rows, those of one token next to each other and in their order.
    order: Buffer<u32>,
    /// Where each group begins in `order`, and where the last one ends.
    starts: Buffer<u32>,
    /// The token of each group.
    tokens: Ids,
}

impl Groups {
    /// Groups the rows of `ids`, at least one, all below `vocabulary`.
    ///
    /// # Errors
    /// [`Fault`] of the copies.
    pub fn upload(device: &Device, ids: &[u32], vocabulary: usize) -> Result<Self, Fault> {
        let mut order: Vec<u32> = (0..count(ids.len())).collect();
        order.sort_by_key(|&row| ids[row as usize]);
        let (mut starts, mut tokens): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        for (i, &row) in order.iter().enumerate() {
            let token = ids[row as usize];
            if tokens.last() != Some(&token) {
                starts.push(count(i));
                tokens.push(token);
            }
        }
        starts.push(count(order.len()));
        Ok(Self {
            order: device.upload(&order)?,
            starts: device.upload(&starts)?,
            tokens: Ids::upload(device, &tokens, vocabulary)?,
        })
    }
}

/// dtable\[ids\[r\]\] += dy\[r\], the rows of a token in their order. Shapes: dtable \[vocabulary, width\], dy \[rows, width\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn backward<R: Real>(
    device: &Device,
    dtable: &mut ViewMut<f32>,
    dy: &View<R>,
    groups: &Groups,
    width: usize,
) -> Result<(), Fault> {
    let Groups { order, starts, tokens } = groups;
    assert_eq!(
        dy.len(),
        order.len() * width,
        "dy is not [rows, width] for {} ids of width {width}",
        order.len()
    );
    tokens.check(dtable.len() / width);
    let kernel = device.kernel::<R>(&SOURCE, "embedding_backward")?;
    let width_ = count(width);
    let mut arguments = kernel.arguments(device);
    arguments.arg(dtable).arg(dy).arg(order).arg(starts).arg(tokens.buffer()).arg(&width_);
    // SAFETY: one block per token; `order` holds each row of dy once, and tokens are below the table's rows.
    unsafe { kernel.launch(&mut arguments, Launch::rows(tokens.n_ids(), width)) }
}
