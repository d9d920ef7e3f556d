//! Attention over packed rows on a device: the exact version, one warp per row and head, and the one on tensor cores for bf16
//! and heads of 64 or 128.

use super::Shape;
use super::tile::families;
use crate::cuda::{
    Device, Fault, Launch, Packer, Parcel, Piece, Real, Source, View, ViewMut, aligned, count,
};
use cudarc::driver::{DevicePtr, DeviceRepr, LaunchArgs, PushKernelArg};

const HEADER: &str = include_str!("attention.cuh");
const TENSOR_HEADER: &str = include_str!("tensor.cuh");
/// The kernels of the exact version.
pub const SOURCE: Source =
    Source::new("attention.cu", include_str!("attention.cu")).with_header("attention.cuh", HEADER);
/// Forward on tensor cores.
pub const TENSOR: Source = Source::new("tensor.cu", include_str!("tensor.cu"))
    .with_header("attention.cuh", HEADER)
    .with_header("tensor.cuh", TENSOR_HEADER)
    .bf16_only();
/// Backward on tensor cores.
pub const TENSOR_BACKWARD: Source =
    Source::new("tensor_backward.cu", include_str!("tensor_backward.cu"))
        .with_header("attention.cuh", HEADER)
        .with_header("tensor.cuh", TENSOR_HEADER)
        .bf16_only();

/// Rows of a block on tensor cores, and its threads.
const TILE: usize = 64;
const TILE_THREADS: u32 = 128;

/// Widest head that a warp holds.
pub const HEAD_DIM_MAX: usize = 256;

/// `Segment` of `attention.cuh`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Packed {
    start: u32,
    len: u32,
    prefix_start: u32,
    prefix_len: u32,
    family_end: u32,
}

// SAFETY: five u32 without padding, as the kernels declare it.
unsafe impl DeviceRepr for Packed {}

/// `Tile` of `tensor.cuh`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct PackedTile {
    segment: u32,
    first: u32,
}

// SAFETY: two u32 without padding, as the kernels declare it.
unsafe impl DeviceRepr for PackedTile {}

/// `Shape` of `attention.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
struct PackedShape {
    rows: u32,
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    scale: f32,
    cap: f32,
    window: u32,
}

// SAFETY: seven words without padding, as the kernels declare it.
unsafe impl DeviceRepr for PackedShape {}

impl PackedShape {
    fn new(rows: usize, shape: &Shape) -> Self {
        Self {
            rows: count(rows),
            heads: count(shape.heads),
            kv_heads: count(shape.kv_heads),
            head_dim: count(shape.head_dim),
            scale: shape.scale,
            cap: shape.softcap.unwrap_or(0.0),
            // No row sees more than all of them; what kernels add to it stays within 32 bits.
            window: count(shape.window.map_or(0, |window| window.min(rows))),
        }
    }
}

/// The segments of a batch on the device. What launches take of them on the host are the lengths of these arrays and nothing
/// else, because work that was captured is replayed for other segments whose arrays are as long.
#[derive(Debug)]
pub struct Segments {
    segments: Piece<Packed>,
    /// Which segment a row belongs to, \[rows\].
    segment_of: Piece<u32>,
    /// The segments' rows in tiles.
    tiles: Piece<PackedTile>,
}

impl Segments {
    /// Copies segments that follow each other, with at least one row.
    ///
    /// # Errors
    /// [`Fault`] of the copies.
    pub fn upload(device: &Device, segments: &[super::Segment]) -> Result<Self, Fault> {
        Parcel::alone(device, |packer| Self::pack(packer, segments))
    }

    /// The same for segments that travel with others.
    ///
    /// # Errors
    /// The same.
    pub fn pack(packer: &mut Packer, segments: &[super::Segment]) -> Result<Self, Fault> {
        super::check_segments(segments);
        let mut packed = Vec::new();
        for family in families(segments) {
            let family_end = count(packed.len() + family.len());
            packed.extend(family.iter().map(|segment| Packed {
                start: count(segment.start),
                len: count(segment.len),
                prefix_start: count(segment.prefix_start),
                prefix_len: count(segment.prefix_len),
                family_end,
            }));
        }
        let segment_of: Vec<u32> =
            (0..).zip(segments).flat_map(|(i, s)| std::iter::repeat_n(i, s.len)).collect();
        let tiles = (0..).zip(segments).flat_map(|(i, segment)| {
            let firsts = (0..segment.len).step_by(TILE);
            firsts.map(move |first| PackedTile { segment: i, first: count(first) })
        });
        Ok(Self {
            segments: packer.put(&packed)?,
            segment_of: packer.put(&segment_of)?,
            tiles: packer.put(&tiles.collect::<Vec<_>>())?,
        })
    }

    fn n_rows(&self) -> usize {
        self.segment_of.len()
    }
}

/// What attention reads.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a, 'b, R> {
    /// Queries, \[rows, heads, head_dim\].
    pub q: &'a View<'b, R>,
    /// Keys, \[rows, kv_heads, head_dim\].
    pub k: &'a View<'b, R>,
    /// Values, \[rows, kv_heads, head_dim\].
    pub v: &'a View<'b, R>,
}

/// The gradients of [`Inputs`], in the same shapes.
#[derive(Debug)]
pub struct Gradients<'a, 'b, R> {
    /// Of the queries.
    pub dq: &'a mut ViewMut<'b, R>,
    /// Of the keys.
    pub dk: &'a mut ViewMut<'b, R>,
    /// Of the values.
    pub dv: &'a mut ViewMut<'b, R>,
}

/// What forward wrote and backward reads again.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a, 'b, R> {
    /// \[rows, heads, head_dim\]
    pub y: &'a View<'b, R>,
    /// Log-sum-exp of the scores, \[rows, heads\].
    pub lse: &'a View<'b, f32>,
}

/// One version of the kernels.
struct Version {
    forward_source: Source,
    forward: &'static str,
    backward_source: Source,
    backward_queries: &'static str,
    backward_keys: &'static str,
    /// Whether a block takes a tile of rows of one head; else a warp takes a row of one head.
    in_tiles: bool,
}

const EXACT: Version = Version {
    forward_source: SOURCE,
    forward: "attention_forward",
    backward_source: SOURCE,
    backward_queries: "attention_backward_queries",
    backward_keys: "attention_backward_keys",
    in_tiles: false,
};

const TENSOR_64: Version = Version {
    forward_source: TENSOR,
    forward: "attention_forward_64",
    backward_source: TENSOR_BACKWARD,
    backward_queries: "attention_backward_queries_64",
    backward_keys: "attention_backward_keys_64",
    in_tiles: true,
};

const TENSOR_128: Version = Version {
    forward: "attention_forward_128",
    backward_queries: "attention_backward_queries_128",
    backward_keys: "attention_backward_keys_128",
    ..TENSOR_64
};

impl Version {
    /// The one on tensor cores where there is one for these heads and all arrays begin at whole 16 bytes, of which it copies and
    /// stores several numbers at once.
    fn of<R: Real>(shape: &Shape, starts: &[u64]) -> &'static Self {
        let aligned = aligned(starts) == 1;
        match shape.head_dim {
            64 if TENSOR.is_for::<R>() && aligned => &TENSOR_64,
            128 if TENSOR.is_for::<R>() && aligned => &TENSOR_128,
            _ => &EXACT,
        }
    }

    /// Adds the segments and where a block or a warp finds its rows.
    fn places<'a>(&self, arguments: &mut LaunchArgs<'a>, segments: &'a Segments) {
        arguments.arg(&*segments.segments);
        match self.in_tiles {
            true => arguments.arg(&*segments.tiles),
            false => arguments.arg(&*segments.segment_of),
        };
    }

    fn launch(&self, segments: &Segments, heads: usize) -> Launch {
        match self.in_tiles {
            true => Launch {
                blocks: (count(segments.tiles.len()), count(heads)),
                threads: TILE_THREADS,
                shared_bytes: 0,
            },
            false => Launch::warps(segments.n_rows() * heads),
        }
    }
}

/// y \[rows, heads, head_dim\] and lse \[rows, heads\] are overwritten. A head is 256 wide at most.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    lse: &mut ViewMut<f32>,
    inputs: Inputs<R>,
    segments: &Segments,
    shape: &Shape,
) -> Result<(), Fault> {
    let rows = segments.n_rows();
    check_head(shape)?;
    check([y.len(), lse.len()], inputs, rows, shape);
    let packed = PackedShape::new(rows, shape);
    let stream = device.stream();
    let starts = [inputs.q, inputs.k, inputs.v].map(|input| input.device_ptr(stream).0);
    let version = Version::of::<R>(shape, &[starts.as_slice(), &[y.device_ptr(stream).0]].concat());
    let kernel = device.kernel::<R>(&version.forward_source, version.forward)?;
    let mut arguments = kernel.arguments(device);
    arguments.arg(y).arg(lse).arg(inputs.q).arg(inputs.k).arg(inputs.v);
    version.places(&mut arguments, segments);
    arguments.arg(&packed);
    // SAFETY: the sizes were held against rows and shape, and the segments' rows and tiles are below `rows`.
    unsafe { kernel.launch(&mut arguments, version.launch(segments, shape.heads)) }
}

/// The gradients are overwritten; dy has the shape of y.
///
/// # Errors
/// [`Fault`] of the launches.
pub fn backward<R: Real>(
    device: &Device,
    gradients: Gradients<R>,
    dy: &View<R>,
    outputs: Outputs<R>,
    inputs: Inputs<R>,
    segments: &Segments,
    shape: &Shape,
) -> Result<(), Fault> {
    let rows = segments.n_rows();
    check_head(shape)?;
    check([outputs.y.len(), outputs.lse.len()], inputs, rows, shape);
    assert_eq!(dy.len(), outputs.y.len(), "dy and y differ in size");
    let Gradients { dq, dk, dv } = gradients;
    assert_eq!(dq.len(), inputs.q.len(), "dq and q differ in size");
    assert_eq!([dk.len(), dv.len()], [inputs.k.len(); 2], "dk, dv and k differ in size");
    let packed = PackedShape::new(rows, shape);
    let stream = device.stream();
    let read =
        [inputs.q, inputs.k, inputs.v, dy, outputs.y].map(|array| array.device_ptr(stream).0);
    let written = [&*dq, &*dk, &*dv].map(|array| array.device_ptr(stream).0);
    let version = Version::of::<R>(shape, &[read.as_slice(), &written].concat());
    let mut projections = device.scratch::<f32>(rows * shape.heads)?;

    let kernel = device.kernel::<R>(&version.backward_source, version.backward_queries)?;
    let mut arguments = kernel.arguments(device);
    arguments.arg(dq).arg(&mut *projections).arg(dy).arg(outputs.y).arg(outputs.lse);
    arguments.arg(inputs.q).arg(inputs.k).arg(inputs.v);
    version.places(&mut arguments, segments);
    arguments.arg(&packed);
    // SAFETY: the sizes were held against rows and shape, and the segments' rows and tiles are below `rows`.
    unsafe { kernel.launch(&mut arguments, version.launch(segments, shape.heads))? };

    let kernel = device.kernel::<R>(&version.backward_source, version.backward_keys)?;
    let mut arguments = kernel.arguments(device);
    arguments.arg(dk).arg(dv).arg(&*projections).arg(dy).arg(outputs.lse);
    arguments.arg(inputs.q).arg(inputs.k).arg(inputs.v);
    version.places(&mut arguments, segments);
    arguments.arg(&packed);
    // SAFETY: the same; the projections were written by the launch before.
    unsafe { kernel.launch(&mut arguments, version.launch(segments, shape.kv_heads)) }
}

/// Refuses heads that kernels have no room for.
pub(crate) fn check_head(shape: &Shape) -> Result<(), Fault> {
    shape.check();
    let (head_dim, head_dim_max) = (shape.head_dim, HEAD_DIM_MAX);
    match head_dim <= head_dim_max {
        true => Ok(()),
        false => Err(Fault::WideHead { head_dim, head_dim_max }),
    }
}

fn check<R>(outputs: [usize; 2], inputs: Inputs<R>, rows: usize, shape: &Shape) {
    let queries = rows * shape.q_width();
    assert_eq!(
        [outputs[0], inputs.q.len()],
        [queries; 2],
        "y and q are not [{rows} rows, heads, head_dim] of {shape:?}"
    );
    assert_eq!(outputs[1], rows * shape.heads, "lse is not [{rows} rows, heads] of {shape:?}");
    let keys = rows * shape.kv_width();
    assert_eq!(
        [inputs.k.len(), inputs.v.len()],
        [keys; 2],
        "k and v are not [{rows} rows, kv_heads, head_dim] of {shape:?}"
    );
}
