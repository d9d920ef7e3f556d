//! Attention of one new token per sequence against a cache, on a device.

use crate::attention::Shape;
use crate::attention::cuda::check_head;
use crate::cuda::{Device, Fault, Ids, Launch, Real, Source, View, ViewMut, count};
use cudarc::driver::{DeviceRepr, PushKernelArg};

/// The kernels.
pub const SOURCE: Source = Source::new("decode.cu", include_str!("decode.cu"));

/// `Shape` of `decode.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct PackedShape {
    sequences: u32,
    capacity: u32,
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    scale: f32,
    cap: f32,
    window: u32,
}

// SAFETY: eight words without padding, as the kernel declares it.
unsafe impl DeviceRepr for PackedShape {}

/// The keys and values of every sequence so far.
#[derive(Debug, Clone, Copy)]
pub struct Cache<'a, 'b, R> {
    /// \[sequences, capacity, kv_heads, head_dim\]
    pub k: &'a View<'b, R>,
    /// \[sequences, capacity, kv_heads, head_dim\]
    pub v: &'a View<'b, R>,
    /// Rows that each sequence has room for.
    pub capacity: usize,
}

/// cache\[s, positions\[s\]\] = rows\[s\], for keys or values. Shapes: rows \[sequences, width\], cache \[sequences, capacity,
/// width\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn append<R: Real>(
    device: &Device,
    cache: &mut ViewMut<R>,
    rows: &View<R>,
    positions: &Ids,
    capacity: usize,
) -> Result<(), Fault> {
    let sequences = positions.n_ids();
    let width = rows.len() / sequences;
    assert_eq!(rows.len(), sequences * width, "rows are not [{sequences} sequences, width]");
    assert_eq!(
        cache.len(),
        sequences * capacity * width,
        "the cache is not [sequences, capacity, width]"
    );
    positions.check(capacity);
    let kernel = device.kernel::<R>(&SOURCE, "decode_append")?;
    let (capacity, width_) = (count(capacity), count(width));
    let mut arguments = kernel.arguments(device);
    arguments.arg(cache).arg(rows).arg(positions.buffer()).arg(&capacity).arg(&width_);
    // SAFETY: one block per sequence; positions are below the capacity.
    unsafe { kernel.launch(&mut arguments, Launch::rows(sequences, width)) }
}

/// y is overwritten; a sequence of length 0 gets zeros. Shapes: y and q \[sequences, heads, head_dim\], lengths
/// \[sequences\], all at most the capacity.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    q: &View<R>,
    cache: Cache<R>,
    lengths: &Ids,
    shape: &Shape,
) -> Result<(), Fault> {
    check_head(shape)?;
    let sequences = lengths.n_ids();
    let queries = sequences * shape.heads * shape.head_dim;
    assert_eq!(
        [q.len(), y.len()],
        [queries; 2],
        "q and y are not [sequences, heads, head_dim] of {shape:?}"
    );
    let cached = sequences * cache.capacity * shape.kv_heads * shape.head_dim;
    assert_eq!(
        [cache.k.len(), cache.v.len()],
        [cached; 2],
        "the caches are not [sequences, capacity, kv_heads, head_dim] of {shape:?}"
    );
    lengths.check(cache.capacity + 1);
    let packed = PackedShape {
        sequences: count(sequences),
        capacity: count(cache.capacity),
        heads: count(shape.heads),
        kv_heads: count(shape.kv_heads),
        head_dim: count(shape.head_dim),
        scale: shape.scale,
        cap: shape.softcap.unwrap_or(0.0),
        // No sequence is longer than the cache.
        window: count(shape.window.map_or(0, |window| window.min(cache.capacity))),
    };
    let kernel = device.kernel::<R>(&SOURCE, "decode_forward")?;
    let mut arguments = kernel.arguments(device);
    arguments.arg(y).arg(q).arg(cache.k).arg(cache.v).arg(lengths.buffer()).arg(&packed);
    // SAFETY: one warp per sequence and head; lengths are at most the capacity.
    unsafe { kernel.launch(&mut arguments, Launch::warps(sequences * shape.heads)) }
}
