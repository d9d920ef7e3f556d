//! How fast each operation is on a device, against what the same card reaches in a copy and in a large product.
//!
//! bf16 throughout. Bytes and FLOPs are those that the opening comments of the `.cu` files count: each tensor once. An operation
//! runs again on the same arrays: what of them fits into the card's second-level cache need not come from memory. Figures decide
//! nothing. Every kernel there is runs within one of the operations that are timed, and a test counts them.

mod attention;
mod generation;
mod training;

use crate::Write::Overwrite;
use crate::cuda::{Bf16, Buffer, Device, Fault};
use crate::matmul;

/// The sizes of what is timed.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Rows of activations, in sequences of [`Self::sequence`].
    pub rows: usize,
    /// Tokens of a sequence; it divides `rows`.
    pub sequence: usize,
    /// Width of the stream.
    pub width: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Heads of 64; there is an even number of them.
    pub heads: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Elements of the flat buffers that clipping and AdamW go over.
    pub parameters: usize,
    /// Side of the product that gives the peak.
    pub peak_side: usize,
    /// Bytes of the copy that gives the bandwidth.
    pub peak_bytes: usize,
}

impl Sizes {
    /// GPT-2 124M with 8,192 tokens.
    pub const GPT2: Self = Self {
        rows: 8192,
        sequence: 1024,
        width: 768,
        feed_forward: 3072,
        heads: 12,
        vocabulary: 50_257,
        parameters: 124_439_808,
        peak_side: 8192,
        peak_bytes: 1 << 30,
    };
    /// For an emulated card: they show that all of it runs, and nothing else.
    pub const TINY: Self = Self {
        // More than a reduction over rows has blocks.
        rows: 528,
        sequence: 44,
        width: 128,
        feed_forward: 96,
        heads: 2,
        vocabulary: 70,
        parameters: 500,
        peak_side: 16,
        peak_bytes: 1 << 12,
    };
}

/// What the card reaches at best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Of a copy, read and written, in bytes a second.
    pub bytes_per_s: f64,
    /// Of a large product in bf16, in floating-point operations a second.
    pub flop_per_s: f64,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// Its name.
    pub operation: &'static str,
    /// Mean seconds.
    pub seconds: f64,
    /// Bytes that it must move.
    pub bytes: f64,
    /// Floating-point operations that it must do.
    pub flop: f64,
}

impl Timing {
    /// The time that the peaks would take, over the time that it took.
    pub fn share(&self, peak: Peak) -> f64 {
        (self.bytes / peak.bytes_per_s).max(self.flop / peak.flop_per_s) / self.seconds
    }
}

/// Measures the peaks.
///
/// # Errors
/// [`Fault`] of memory, products and launches.
pub fn peak(device: &Device, sizes: &Sizes, runs: usize) -> Result<Peak, Fault> {
    let (from, mut to) = (device.zeros::<u8>(sizes.peak_bytes)?, device.zeros(sizes.peak_bytes)?);
    let copy = device.time(runs, || device.copy(&mut to.as_view_mut(), &from.as_view()))?;
    drop((from, to));
    let side = sizes.peak_side;
    let shape = matmul::Shape { rows: side, inputs: side, outputs: side };
    let (x, w) = (numbers(device, side * side)?, numbers(device, side * side)?);
    let mut y = numbers(device, side * side)?;
    let product = device.time(runs, || {
        let y = &mut y.as_view_mut();
        matmul::cuda::forward(device, y, &x.as_view(), &w.as_view(), shape, Overwrite)
    })?;
    Ok(Peak {
        bytes_per_s: 2.0 * sizes.peak_bytes as f64 / copy,
        flop_per_s: 2.0 * (side as f64).powi(3) / product,
    })
}

/// Numbers over (−1, 1): zeros would be multiplied with less power, and so at a higher clock.
fn numbers(device: &Device, len: usize) -> Result<Buffer<Bf16>, Fault> {
    let mut state = 1_u32;
    let next = |_| {
        // The generator of Numerical Recipes (Press et al.).
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Bf16::from((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    device.upload_many((0..len).map(next))
}

/// Times every operation of a training step and of generation, `runs` times each.
///
/// # Errors
/// [`Fault`] of memory, products and launches.
pub fn time_all(device: &Device, sizes: &Sizes, runs: usize) -> Result<Vec<Timing>, Fault> {
    let mut bench = Bench { device, runs, timings: Vec::new() };
    bench.norms(sizes)?;
    bench.element_wise(sizes)?;
    bench.products(sizes)?;
    bench.attention(sizes)?;
    bench.vocabulary(sizes)?;
    bench.completions(sizes)?;
    bench.update(sizes)?;
    bench.decoding(sizes)?;
    bench.drawing(sizes)?;
    Ok(bench.timings)
}

struct Bench<'a> {
    device: &'a Device,
    runs: usize,
    timings: Vec<Timing>,
}

impl Bench<'_> {
    fn add(
        &mut self,
        operation: &'static str,
        [bytes, flop]: [usize; 2],
        work: impl FnMut() -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let seconds = self.device.time(self.runs, work)?;
        self.timings.push(Timing { operation, seconds, bytes: bytes as f64, flop: flop as f64 });
        Ok(())
    }
}
