//! How fast each operation is on a device, against what the same card reaches in a copy and in a large product.
//!
//! bf16 throughout. Bytes and FLOPs are those that the opening comments of the `.cu` files count: each tensor once. Figures
//! decide nothing.

use crate::Write::Overwrite;
use crate::activation::Activation;
use crate::attention::Segment;
use crate::cuda::{Bf16, Buffer, Device, Fault, Ids, Scratch};
use crate::{
    activation, adamw, attention, bias, clip, embedding, gated, layernorm, logprob, matmul,
    residual, rmsnorm, rope,
};

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
    /// Heads; they divide the width.
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
        rows: 8,
        sequence: 4,
        width: 64,
        feed_forward: 96,
        heads: 1,
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
    let (x, w) = (zeros(device, side * side)?, zeros(device, side * side)?);
    let mut y = zeros(device, side * side)?;
    let product = device.time(runs, || {
        let y = &mut y.as_view_mut();
        matmul::cuda::forward(device, y, &x.as_view(), &w.as_view(), shape, Overwrite)
    })?;
    Ok(Peak {
        bytes_per_s: 2.0 * sizes.peak_bytes as f64 / copy,
        flop_per_s: 2.0 * (side as f64).powi(3) / product,
    })
}

fn zeros(device: &Device, len: usize) -> Result<Buffer<Bf16>, Fault> {
    device.zeros(len)
}

/// Times every operation of a training step, `runs` times each.
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
    bench.update(sizes)?;
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

    fn norms(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, n) = (self.device, sizes.rows * sizes.width);
        let (x, mut y) = (zeros(device, n)?, zeros(device, n)?);
        let (w, b) = (zeros(device, sizes.width)?, zeros(device, sizes.width)?);
        let (mut mean, mut rstd): (Buffer<f32>, Buffer<f32>) =
            (device.zeros(sizes.rows)?, device.zeros(sizes.rows)?);
        let (mut dw, mut db): (Buffer<f32>, Buffer<f32>) =
            (device.zeros(sizes.width)?, device.zeros(sizes.width)?);
        let (epsilon, offset) = (1e-5, 0.0);
        self.add("layernorm forward", [4 * n + 8 * sizes.rows, 8 * n], || {
            let (mean, rstd) = (&mut mean.as_view_mut(), &mut rstd.as_view_mut());
            let statistics = layernorm::cuda::Statistics { mean, rstd };
            let (y, w, b) = (&mut y.as_view_mut(), &w.as_view(), &b.as_view());
            layernorm::cuda::forward(device, y, statistics, &x.as_view(), w, b, epsilon)
        })?;
        self.add("layernorm backward", [6 * n + 8 * sizes.rows, 14 * n], || {
            let (dw, db) = (&mut dw.as_view_mut(), &mut db.as_view_mut());
            let (mean, rstd) = (&mean.as_view(), &rstd.as_view());
            let (dx, x, w) = (&mut y.as_view_mut(), &x.as_view(), &w.as_view());
            layernorm::cuda::backward(device, dx, dw, db, x, x, mean, rstd, w, Overwrite)
        })?;
        let settings = rmsnorm::cuda::Settings { epsilon, offset };
        self.add("rmsnorm forward", [4 * n + 4 * sizes.rows, 5 * n], || {
            let (y, rstd) = (&mut y.as_view_mut(), &mut rstd.as_view_mut());
            rmsnorm::cuda::forward(device, y, rstd, &x.as_view(), &w.as_view(), settings)
        })?;
        self.add("rmsnorm backward", [6 * n + 4 * sizes.rows, 10 * n], || {
            let (dx, dw) = (&mut y.as_view_mut(), &mut dw.as_view_mut());
            let (x, w, rstd) = (&x.as_view(), &w.as_view(), &rstd.as_view());
            rmsnorm::cuda::backward(device, dx, dw, x, x, w, rstd, offset, Overwrite)
        })
    }

    fn element_wise(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, n) = (self.device, sizes.rows * sizes.feed_forward);
        let (gate, up) = (zeros(device, n)?, zeros(device, n)?);
        let (mut y, mut other) = (zeros(device, n)?, zeros(device, n)?);
        let curve = Activation::GeluTanh;
        self.add("activation forward", [4 * n, 10 * n], || {
            activation::cuda::forward(device, &mut y.as_view_mut(), &up.as_view(), curve)
        })?;
        self.add("activation backward", [6 * n, 20 * n], || {
            let (dx, x) = (&mut y.as_view_mut(), &up.as_view());
            activation::cuda::backward(device, dx, &gate.as_view(), x, curve)
        })?;
        self.add("gated forward", [6 * n, 6 * n], || {
            let (gate, up) = (&gate.as_view(), &up.as_view());
            gated::cuda::forward(device, &mut y.as_view_mut(), gate, up, Activation::Silu)
        })?;
        self.add("gated backward", [10 * n, 12 * n], || {
            let (dgate, dup) = (&mut y.as_view_mut(), &mut other.as_view_mut());
            let (gate, up) = (&gate.as_view(), &up.as_view());
            gated::cuda::backward(device, dgate, dup, up, gate, up, Activation::Silu)
        })?;
        self.add("residual", [6 * n, n], || {
            residual::cuda::add(device, &mut y.as_view_mut(), &up.as_view())
        })?;
        let b = zeros(device, sizes.feed_forward)?;
        self.add("bias forward", [4 * n, n], || {
            bias::cuda::forward(device, &mut y.as_view_mut(), &b.as_view())
        })?;
        let mut db = device.zeros::<f32>(sizes.feed_forward)?;
        self.add("bias backward", [2 * n, n], || {
            bias::cuda::backward(device, &mut db.as_view_mut(), &up.as_view())
        })?;
        let (head, n) = (sizes.width / sizes.heads, sizes.rows * sizes.width);
        let frequencies = vec![1e-3; head / 2];
        let table = rope::Table::scaled(sizes.sequence, &frequencies, 1.0);
        let table = rope::cuda::Table::upload(device, &table)?;
        let positions: Vec<u32> =
            (0..sizes.rows).map(|row| (row % sizes.sequence) as u32).collect();
        let positions = Ids::upload(device, &positions, sizes.sequence)?;
        let mut x = zeros(device, n)?;
        self.add("rope", [4 * n, 3 * n], || {
            rope::cuda::forward(device, &mut x.as_view_mut(), &positions, &table)
        })
    }

    fn products(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, rows) = (self.device, sizes.rows);
        let (inputs, outputs) = (sizes.width, sizes.feed_forward);
        let shape = matmul::Shape { rows, inputs, outputs };
        let (mut x, w) = (zeros(device, rows * inputs)?, zeros(device, inputs * outputs)?);
        let mut y = zeros(device, rows * outputs)?;
        let mut dw = device.zeros::<f32>(inputs * outputs)?;
        let activations = 2 * rows * (inputs + outputs);
        let work = [activations + 2 * inputs * outputs, 2 * rows * inputs * outputs];
        self.add("product forward", work, || {
            let y = &mut y.as_view_mut();
            matmul::cuda::forward(device, y, &x.as_view(), &w.as_view(), shape, Overwrite)
        })?;
        self.add("product backward, input", work, || {
            let dx = &mut x.as_view_mut();
            matmul::cuda::backward_input(device, dx, &y.as_view(), &w.as_view(), shape, Overwrite)
        })?;
        let work = [activations + 8 * inputs * outputs, work[1]];
        self.add("product backward, weight", work, || {
            let dw = &mut dw.as_view_mut();
            matmul::cuda::backward_weight(device, dw, None, &y.as_view(), &x.as_view(), shape)
        })
    }

    fn attention(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, n) = (self.device, sizes.rows * sizes.width);
        let segments: Vec<Segment> = (0..sizes.rows / sizes.sequence)
            .map(|i| Segment {
                start: i * sizes.sequence,
                len: sizes.sequence,
                prefix_start: 0,
                prefix_len: 0,
            })
            .collect();
        let segments = attention::cuda::Segments::upload(device, &segments)?;
        let shape = attention::Shape {
            heads: sizes.heads,
            kv_heads: sizes.heads,
            head_dim: sizes.width / sizes.heads,
            scale: 0.125,
            softcap: None,
            window: None,
        };
        let [q, k, v, dy] =
            [zeros(device, n)?, zeros(device, n)?, zeros(device, n)?, zeros(device, n)?];
        let [mut y, mut dq, mut dk, mut dv] =
            [zeros(device, n)?, zeros(device, n)?, zeros(device, n)?, zeros(device, n)?];
        let mut lse = device.zeros::<f32>(sizes.rows * sizes.heads)?;
        let qkv = [&q.as_view(), &k.as_view(), &v.as_view()];
        let inputs = attention::cuda::Inputs { q: qkv[0], k: qkv[1], v: qkv[2] };
        // Half of all pairs of tokens see each other.
        let flop = 2 * n * sizes.sequence;
        self.add("attention forward", [8 * n + 4 * lse.len(), flop], || {
            let (y, lse) = (&mut y.as_view_mut(), &mut lse.as_view_mut());
            attention::cuda::forward(device, y, lse, inputs, &segments, &shape)
        })?;
        self.add("attention backward", [16 * n + 4 * lse.len(), flop * 5 / 2], || {
            let (dq, dk, dv) =
                (&mut dq.as_view_mut(), &mut dk.as_view_mut(), &mut dv.as_view_mut());
            let gradients = attention::cuda::Gradients { dq, dk, dv };
            let outputs = attention::cuda::Outputs { y: &y.as_view(), lse: &lse.as_view() };
            let dy = &dy.as_view();
            attention::cuda::backward(device, gradients, dy, outputs, inputs, &segments, &shape)
        })
    }

    fn vocabulary(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let Sizes { rows, width, vocabulary, .. } = *sizes;
        let (device, targets) = (self.device, rows / 2);
        let table = zeros(device, vocabulary * width)?;
        let spread =
            |n: usize| -> Vec<u32> { (0..n).map(|row| (row * 7919 % vocabulary) as u32).collect() };
        let ids = Ids::upload(device, &spread(rows), vocabulary)?;
        let groups = embedding::cuda::Groups::upload(device, &spread(rows), vocabulary, None)?;
        let mut y = zeros(device, rows * width)?;
        let mut dtable = device.zeros::<f32>(vocabulary * width)?;
        self.add("embedding forward", [4 * rows * width, 0], || {
            let (y, table) = (&mut y.as_view_mut(), &table.as_view());
            embedding::cuda::forward(device, y, table, &ids, width, Overwrite)
        })?;
        let distinct = rows.min(vocabulary);
        self.add(
            "embedding backward",
            [2 * rows * width + 8 * distinct * width, rows * width],
            || {
                let (dtable, dy) = (&mut dtable.as_view_mut(), &y.as_view());
                embedding::cuda::backward(device, dtable, dy, &groups, width)
            },
        )?;
        let shape = logprob::Shape { rows: targets, width, vocabulary, softcap: None };
        let (hidden, mut dhidden) =
            (zeros(device, targets * width)?, zeros(device, targets * width)?);
        let chosen = Ids::upload(device, &spread(targets), vocabulary)?;
        let [mut logp, mut lse]: [Scratch<f32>; 2] =
            [device.scratch(targets)?, device.scratch(targets)?];
        let (hidden_view, head) = (&hidden.as_view(), &table.as_view());
        let logits_bytes_max = logprob::LOGITS_BYTES_MAX;
        let inputs =
            logprob::cuda::Inputs { hidden: hidden_view, head, targets: &chosen, logits_bytes_max };
        let product = 2 * targets * width * vocabulary;
        let tensors = 2 * width * (targets + vocabulary);
        self.add("logprob forward", [tensors, product], || {
            let (logp, lse) = (&mut logp.as_view_mut(), &mut lse.as_view_mut());
            logprob::cuda::forward(device, logp, lse, None, inputs, shape)
        })?;
        self.add("logprob backward", [2 * tensors + 8 * vocabulary * width, 3 * product], || {
            let (dx, dhead) = (&mut dhidden.as_view_mut(), &mut dtable.as_view_mut());
            let (dlogp, lse) = (&logp.as_view(), &lse.as_view());
            logprob::cuda::backward(device, dx, dhead, dlogp, lse, inputs, shape)
        })
    }

    fn update(&mut self, sizes: &Sizes) -> Result<(), Fault> {
        let (device, n) = (self.device, sizes.parameters);
        let [mut masters, mut first, mut second, gradients]: [Buffer<f32>; 4] =
            [device.zeros(n)?, device.zeros(n)?, device.zeros(n)?, device.zeros(n)?];
        let mut copy = zeros(device, n)?;
        let mut norm = clip::cuda::Norm::new(device)?;
        self.add("global norm", [4 * n, 2 * n], || {
            clip::cuda::global_norm(device, &mut norm, &gradients.as_view(), 1.0)
        })?;
        let settings =
            adamw::Settings { learning_rate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        let groups = [adamw::Group { range: 0..n, weight_decay: 0.1 }];
        let mut scalars = adamw::cuda::Scalars::new(device, groups.len())?;
        scalars.set(device, 1, &settings, &groups)?;
        self.add("adamw", [30 * n, 14 * n], || {
            let (first, second) = (&mut first.as_view_mut(), &mut second.as_view_mut());
            let moments = adamw::cuda::Moments { first, second };
            let (masters, copy) = (&mut masters.as_view_mut(), &mut copy.as_view_mut());
            let (copy, gradients, factor) = (Some(copy), &gradients.as_view(), norm.factor());
            adamw::cuda::step(device, masters, copy, moments, gradients, factor, &scalars, &groups)
        })
    }
}
