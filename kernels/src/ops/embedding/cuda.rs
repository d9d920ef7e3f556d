//! The embedding on a device. Backward wants the rows grouped by their token, which the host does once per batch.

use crate::Write;
use crate::cuda::{
    Device, Fault, Ids, Launch, Packer, Parcel, Piece, Real, Source, View, ViewMut, count,
};
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

/// y ← factor·y, and the same for its gradient.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn scale<R: Real>(device: &Device, y: &mut ViewMut<R>, factor: f32) -> Result<(), Fault> {
    let (kernel, n) = (device.kernel::<R>(&SOURCE, "embedding_scale")?, y.len());
    let mut arguments = kernel.arguments(device);
    arguments.arg(y).arg(&factor).arg(&n);
    // SAFETY: y has n elements, and the kernel stops there.
    unsafe { kernel.launch(&mut arguments, Launch::elements(n)) }
}

/// The rows of a batch, grouped by token.
#[derive(Debug)]
pub struct Groups {
    n_rows: usize,
    /// None where no row is left.
    groups: Option<NonEmptyGroups>,
}

#[derive(Debug)]
struct NonEmptyGroups {
    /// Rows, those of one token next to each other and in their order.
    order: Piece<u32>,
    /// Where each group begins in `order`, and where the last one ends.
    starts: Piece<u32>,
    /// The token of each group.
    tokens: Ids,
}

impl Groups {
    /// Groups the rows of `ids`, all below `vocabulary`, but for those of the token `except`, which learns nothing.
    ///
    /// # Errors
    /// [`Fault`] of the copies.
    pub fn upload(
        device: &Device,
        ids: &[u32],
        vocabulary: usize,
        except: Option<u32>,
    ) -> Result<Self, Fault> {
        Parcel::alone(device, |packer| Self::pack(packer, ids, vocabulary, except))
    }

    /// The same for groups that travel with others.
    ///
    /// # Errors
    /// The same.
    pub fn pack(
        packer: &mut Packer,
        ids: &[u32],
        vocabulary: usize,
        except: Option<u32>,
    ) -> Result<Self, Fault> {
        let n_rows = ids.len();
        let learns = |row: &u32| Some(ids[*row as usize]) != except;
        let mut order: Vec<u32> = (0..count(n_rows)).filter(learns).collect();
        if order.is_empty() {
            return Ok(Self { n_rows, groups: None });
        }
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
        let groups = NonEmptyGroups {
            order: packer.put(&order)?,
            starts: packer.put(&starts)?,
            tokens: Ids::pack(packer, &tokens, vocabulary)?,
        };
        Ok(Self { n_rows, groups: Some(groups) })
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
    let Groups { n_rows, groups } = groups;
    assert_eq!(
        dy.len(),
        n_rows * width,
        "dy is not [rows, width] for {n_rows} ids of width {width}"
    );
    let Some(NonEmptyGroups { order, starts, tokens }) = groups else { return Ok(()) };
    tokens.check(dtable.len() / width);
    let kernel = device.kernel::<R>(&SOURCE, "embedding_backward")?;
    let width_ = count(width);
    let mut arguments = kernel.arguments(device);
    arguments.arg(dtable).arg(dy).arg(&**order).arg(&**starts).arg(tokens.buffer()).arg(&width_);
    // SAFETY: one block per token; `order` holds each row of dy once at most, and tokens are below the table's rows.
    unsafe { kernel.launch(&mut arguments, Launch::rows(tokens.n_ids(), width)) }
}

/// The ids of a gather from rows, grouped by the row that they name.
#[derive(Debug)]
pub struct RowGroups {
    /// Places among the ids, those of one row next to each other and in their order.
    order: Piece<u32>,
    /// Where each row's places begin in `order`, and where the last one's end, \[rows + 1\].
    starts: Piece<u32>,
}

impl RowGroups {
    /// Groups ids, at least one, all below `n_rows`.
    ///
    /// # Errors
    /// [`Fault`] of the copies.
    pub fn upload(device: &Device, ids: &[u32], n_rows: usize) -> Result<Self, Fault> {
        Parcel::alone(device, |packer| Self::pack(packer, ids, n_rows))
    }

    /// The same for groups that travel with others.
    ///
    /// # Errors
    /// The same.
    pub fn pack(packer: &mut Packer, ids: &[u32], n_rows: usize) -> Result<Self, Fault> {
        if let Some(id) = ids.iter().find(|&&id| id as usize >= n_rows) {
            panic!("row {id} is not below {n_rows}");
        }
        let mut order: Vec<u32> = (0..count(ids.len())).collect();
        order.sort_by_key(|&place| ids[place as usize]);
        let mut starts = vec![0; n_rows + 1];
        ids.iter().for_each(|&id| starts[id as usize + 1] += 1);
        (0..n_rows).for_each(|row| starts[row + 1] += starts[row]);
        Ok(Self { order: packer.put(&order)?, starts: packer.put(&starts)? })
    }
}

/// dx\[r\] = Σ dy\[i\] over the ids i that name row r, in their order: backward of [`forward`] where the table are `rows` rows of
/// R and not weights. Shapes: dx \[rows, width\], dy \[ids, width\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn backward_rows<R: Real>(
    device: &Device,
    dx: &mut ViewMut<R>,
    dy: &View<R>,
    groups: &RowGroups,
    width: usize,
) -> Result<(), Fault> {
    let RowGroups { order, starts } = groups;
    let (rows, ids) = (starts.len() - 1, order.len());
    let sizes = [rows * width, ids * width];
    assert_eq!([dx.len(), dy.len()], sizes, "dx and dy are not [{rows} rows] and [{ids} ids] wide");
    let kernel = device.kernel::<R>(&SOURCE, "embedding_backward_rows")?;
    let width_ = count(width);
    let mut arguments = kernel.arguments(device);
    arguments.arg(dx).arg(dy).arg(&**order).arg(&**starts).arg(&width_);
    // SAFETY: one block per row of dx; `order` holds each row of dy once.
    unsafe { kernel.launch(&mut arguments, Launch::rows(rows, width)) }
}
