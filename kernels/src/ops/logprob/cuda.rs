//! The log-probability of given tokens on a device. Logits exist for one chunk of the vocabulary at a time.
//!
//! A chunk takes [`Inputs::logits_bytes_max`] at most, unless eight tokens' logits of all rows need more. Its rows begin a
//! multiple of `APART` elements apart, whatever the vocabulary.
//! Backward computes each chunk's logits again: its three products are those of forward and of the two gradients.

use super::Shape;
use crate::Write;
use crate::cuda::{
    Buffer, Device, Fault, Ids, Launch, Real, Scratch, Source, View, ViewMut, count,
};
use crate::matmul;
use cudarc::driver::PushKernelArg;
use std::ops::Range;

/// The kernels.
pub const SOURCE: Source = Source::new("logprob.cu", include_str!("logprob.cu"));

/// cuBLASLt's kernels on tensor cores load 16 bytes at a time: 8 of the smallest numbers.
const APART: usize = 8;

/// What the log-probs are computed from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a, 'b, R> {
    /// \[rows, width\]
    pub hidden: &'a View<'b, R>,
    /// \[vocabulary, width\]
    pub head: &'a View<'b, R>,
    /// \[rows\]
    pub targets: &'a Ids,
    /// Memory for logits at any one time; backward takes it for their gradients once more. Usually
    /// [`LOGITS_BYTES_MAX`](super::LOGITS_BYTES_MAX).
    pub logits_bytes_max: usize,
}

/// What else there is to say of each row's distribution, on the device: [`Statistics`](super::Statistics) by its parts, all \[rows\].
#[derive(Debug)]
pub struct StatisticsMut<'a, 'b> {
    /// In nats.
    pub entropy: &'a mut ViewMut<'b, f32>,
    /// Of the logits, over the vocabulary.
    pub mean_logit: &'a mut ViewMut<'b, f32>,
    /// 1 where no token's logit is larger than the target's and none before it as large, else 0.
    pub is_likeliest: &'a mut ViewMut<'b, u32>,
}

/// logp and lse \[rows\] are overwritten, and the statistics, where they are asked for, in one more pass over each chunk of
/// logits; lse is what [`backward`] needs.
///
/// # Errors
/// [`Fault`] of memory, products and launches.
pub fn forward<R: Real>(
    device: &Device,
    logp: &mut ViewMut<f32>,
    lse: &mut ViewMut<f32>,
    statistics: Option<StatisticsMut>,
    inputs: Inputs<R>,
    shape: Shape,
) -> Result<(), Fault> {
    check([logp.len(), lse.len()], inputs, shape);
    let rows = shape.rows;
    let [mut largest, mut sum, mut hit] =
        [device.scratch::<f32>(rows)?, device.scratch::<f32>(rows)?, device.scratch::<f32>(rows)?];
    let mut moments = match &statistics {
        None => None,
        Some(_) => Some(Moments::new(device, rows)?),
    };
    let mut memory = device.scratch::<f32>(rows * chunk_stride(shape, inputs.logits_bytes_max))?;
    let cap = shape.softcap.unwrap_or(0.0);
    for tokens in chunks(shape, inputs.logits_bytes_max) {
        let logits = project(device, &mut memory, inputs, shape, &tokens)?;
        let (width, stride, first) = cut(&tokens);
        if let Some(moments) = &mut moments {
            moments.add(device, &largest, &sum, &logits, &tokens, cap)?;
        }
        let kernel = device.kernel::<f32>(&SOURCE, "logprob_accumulate")?;
        let mut arguments = kernel.arguments(device);
        arguments
            .arg(&mut *largest)
            .arg(&mut *sum)
            .arg(&mut *hit)
            .arg(&logits)
            .arg(inputs.targets.buffer());
        arguments.arg(&width).arg(&stride).arg(&first).arg(&cap);
        // SAFETY: one block per row; logits are [rows, stride], all others [rows].
        unsafe { kernel.launch(&mut arguments, Launch::rows(rows, tokens.len()))? };
    }
    let kernel = device.kernel::<f32>(&SOURCE, "logprob_finish")?;
    let mut arguments = kernel.arguments(device);
    arguments.arg(logp).arg(lse).arg(&*largest).arg(&*sum).arg(&*hit).arg(&rows);
    // SAFETY: all are [rows], and the kernel stops there.
    unsafe { kernel.launch(&mut arguments, Launch::elements(rows))? };
    match moments.zip(statistics) {
        None => Ok(()),
        Some((moments, statistics)) => moments.finish(device, statistics, &sum, inputs, shape),
    }
}

/// l becomes cap·tanh(l/cap), in place: the logits of a capped model, for who samples from them.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn cap(device: &Device, logits: &mut ViewMut<f32>, cap: f32) -> Result<(), Fault> {
    let (kernel, n) = (device.kernel::<f32>(&SOURCE, "logprob_cap")?, logits.len());
    let mut arguments = kernel.arguments(device);
    arguments.arg(logits).arg(&cap).arg(&n);
    // SAFETY: the kernel stops at the n-th logit.
    unsafe { kernel.launch(&mut arguments, Launch::elements(n)) }
}

/// What the statistics need of the chunks so far, all \[rows\].
struct Moments {
    /// Σ exp(l − largest)·(l − largest)
    weighted: Scratch<f32>,
    /// Σ l
    total: Scratch<f32>,
    /// The first token with the largest logit.
    best: Scratch<u32>,
}

impl Moments {
    fn new(device: &Device, rows: usize) -> Result<Self, Fault> {
        let [weighted, total] = [device.scratch(rows)?, device.scratch(rows)?];
        Ok(Self { weighted, total, best: device.scratch(rows)? })
    }

    /// Adds a chunk; `largest` and `sum` are those of the chunks before it.
    fn add(
        &mut self,
        device: &Device,
        largest: &Buffer<f32>,
        sum: &Buffer<f32>,
        logits: &View<f32>,
        tokens: &Range<usize>,
        cap: f32,
    ) -> Result<(), Fault> {
        let rows = self.best.len();
        let (width, stride, first) = cut(tokens);
        let kernel = device.kernel::<f32>(&SOURCE, "logprob_moments")?;
        let mut arguments = kernel.arguments(device);
        arguments.arg(&mut *self.weighted).arg(&mut *self.total).arg(&mut *self.best);
        arguments.arg(largest).arg(sum).arg(logits).arg(&width).arg(&stride).arg(&first).arg(&cap);
        // SAFETY: one block per row; logits are [rows, stride], all others [rows].
        unsafe { kernel.launch(&mut arguments, Launch::rows(rows, tokens.len())) }
    }

    fn finish<R>(
        self,
        device: &Device,
        statistics: StatisticsMut,
        sum: &Buffer<f32>,
        inputs: Inputs<R>,
        shape: Shape,
    ) -> Result<(), Fault> {
        let StatisticsMut { entropy, mean_logit, is_likeliest } = statistics;
        let rows = shape.rows;
        let lens = [entropy.len(), mean_logit.len(), is_likeliest.len()];
        assert_eq!(lens, [rows; 3], "statistics are not [rows] of {shape:?}");
        let kernel = device.kernel::<f32>(&SOURCE, "logprob_statistics")?;
        let vocabulary = count(shape.vocabulary);
        let mut arguments = kernel.arguments(device);
        arguments.arg(entropy).arg(mean_logit).arg(is_likeliest);
        arguments.arg(sum).arg(&*self.weighted).arg(&*self.total).arg(&*self.best);
        arguments.arg(inputs.targets.buffer()).arg(&vocabulary).arg(&rows);
        // SAFETY: all are [rows], and the kernel stops there.
        unsafe { kernel.launch(&mut arguments, Launch::elements(rows)) }
    }
}

/// dhidden \[rows, width\] is overwritten, from a sum in f32; dhead \[vocabulary, width\] grows. dlogp and lse \[rows\].
///
/// # Errors
/// [`Fault`] of memory, products and launches.
pub fn backward<R: Real>(
    device: &Device,
    dhidden: &mut ViewMut<R>,
    dhead: &mut ViewMut<f32>,
    dlogp: &View<f32>,
    lse: &View<f32>,
    inputs: Inputs<R>,
    shape: Shape,
) -> Result<(), Fault> {
    check([dlogp.len(), lse.len()], inputs, shape);
    assert_eq!(dhidden.len(), inputs.hidden.len(), "dhidden and hidden differ in size");
    assert_eq!(dhead.len(), inputs.head.len(), "dhead and head differ in size");
    let (rows, stride_max) = (shape.rows, chunk_stride(shape, inputs.logits_bytes_max));
    let mut memory = device.scratch::<f32>(rows * stride_max)?;
    let mut sum = device.scratch::<f32>(dhidden.len())?;
    let mut gradients = device.scratch::<R>(rows * stride_max)?;
    let cap = shape.softcap.unwrap_or(0.0);
    for tokens in chunks(shape, inputs.logits_bytes_max) {
        let logits = project(device, &mut memory, inputs, shape, &tokens)?;
        let mut dlogits = gradients.slice_mut(0..rows * stride(&tokens));
        let (width, stride_, first) = cut(&tokens);
        let kernel = device.kernel::<R>(&SOURCE, "logprob_backward")?;
        let mut arguments = kernel.arguments(device);
        arguments.arg(&mut dlogits).arg(&logits).arg(dlogp).arg(lse).arg(inputs.targets.buffer());
        arguments.arg(&width).arg(&stride_).arg(&first).arg(&cap);
        // SAFETY: one block per row; logits and dlogits are [rows, stride], all others [rows].
        unsafe { kernel.launch(&mut arguments, Launch::rows(rows, tokens.len()))? };

        let (product, stride) = (product(shape, &tokens), stride(&tokens));
        let (dlogits, part) = (dlogits.as_view(), of_head(shape, &tokens));
        let write = if tokens.start == 0 { Write::Overwrite } else { Write::Accumulate };
        let head = inputs.head.slice(part.clone());
        let sum = &mut sum.as_view_mut();
        matmul::cuda::backward_input_apart(device, sum, &dlogits, stride, &head, product, write)?;
        let (dhead, hidden) = (&mut dhead.slice_mut(part), inputs.hidden);
        matmul::cuda::backward_weight_apart(device, dhead, &dlogits, stride, hidden, product)?;
    }
    round(device, dhidden, &sum.as_view())
}

/// Numbers as they are stored; both of one length.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn round<R: Real>(device: &Device, to: &mut ViewMut<R>, from: &View<f32>) -> Result<(), Fault> {
    let (kernel, n) = (device.kernel::<R>(&SOURCE, "logprob_round")?, to.len());
    assert_eq!(n, from.len(), "numbers and their rounding differ in length");
    let mut arguments = kernel.arguments(device);
    arguments.arg(to).arg(from).arg(&n);
    // SAFETY: both have n elements, and the kernel stops there.
    unsafe { kernel.launch(&mut arguments, Launch::elements(n)) }
}

/// logits = hidden·headᵀ for a chunk of tokens, \[rows, tokens\] in \[rows, stride\].
fn project<'a, R: Real>(
    device: &Device,
    memory: &'a mut Buffer<f32>,
    inputs: Inputs<R>,
    shape: Shape,
    tokens: &Range<usize>,
) -> Result<View<'a, f32>, Fault> {
    let (stride, product) = (stride(tokens), product(shape, tokens));
    let len = shape.rows * stride;
    let (hidden, head) = (inputs.hidden, &inputs.head.slice(of_head(shape, tokens)));
    let logits = &mut memory.slice_mut(0..len);
    matmul::cuda::forward_apart(device, logits, stride, hidden, head, product, Write::Overwrite)?;
    Ok(memory.slice(0..len))
}

/// Elements from one row of a chunk's logits to the next.
fn stride(tokens: &Range<usize>) -> usize {
    tokens.len().next_multiple_of(APART)
}

/// A chunk as the kernels take it: how many tokens, how far rows are apart, the first token.
fn cut(tokens: &Range<usize>) -> (u32, u32, u32) {
    (count(tokens.len()), count(stride(tokens)), count(tokens.start))
}

fn product(shape: Shape, tokens: &Range<usize>) -> matmul::Shape {
    matmul::Shape { rows: shape.rows, inputs: shape.width, outputs: tokens.len() }
}

fn of_head(shape: Shape, tokens: &Range<usize>) -> Range<usize> {
    tokens.start * shape.width..tokens.end * shape.width
}

/// Elements of a chunk's row: whole multiples of 64 where there is room, for the products' sake, and no more than the whole
/// vocabulary takes.
fn chunk_stride(shape: Shape, logits_bytes_max: usize) -> usize {
    let fitting = logits_bytes_max / (4 * shape.rows.max(1));
    let whole = if fitting >= 64 { fitting / 64 * 64 } else { (fitting / APART).max(1) * APART };
    whole.min(shape.vocabulary.next_multiple_of(APART))
}

fn chunks(shape: Shape, logits_bytes_max: usize) -> impl Iterator<Item = Range<usize>> {
    let (chunk, vocabulary) = (chunk_stride(shape, logits_bytes_max), shape.vocabulary);
    (0..vocabulary).step_by(chunk).map(move |first| first..(first + chunk).min(vocabulary))
}

fn check<R>(outputs: [usize; 2], inputs: Inputs<R>, shape: Shape) {
    assert_eq!(
        inputs.hidden.len(),
        shape.rows * shape.width,
        "hidden is not [rows, width] of {shape:?}"
    );
    assert_eq!(
        inputs.head.len(),
        shape.vocabulary * shape.width,
        "the head is not [vocabulary, width] of {shape:?}"
    );
    assert_eq!(inputs.targets.n_ids(), shape.rows, "targets are not [rows] of {shape:?}");
    assert_eq!(outputs, [shape.rows; 2], "log-probs and lse are not [rows] of {shape:?}");
    inputs.targets.check(shape.vocabulary);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logprob::LOGITS_BYTES_MAX;

    #[test]
    fn chunks_cover_the_vocabulary_and_keep_to_the_budget() {
        for (rows, vocabulary) in
            [(1, 1), (7, 33), (8192, 50_257), (300_000, 1000), (100_000_000, 3)]
        {
            let shape = Shape { rows, width: 1, vocabulary, softcap: None };
            let mut end = 0;
            for tokens in chunks(shape, LOGITS_BYTES_MAX) {
                assert_eq!(tokens.start, end);
                assert!(4 * rows * stride(&tokens) <= LOGITS_BYTES_MAX || stride(&tokens) == APART);
                assert!(stride(&tokens) <= chunk_stride(shape, LOGITS_BYTES_MAX));
                assert_eq!(stride(&tokens) % 8, 0);
                end = tokens.end;
            }
            assert_eq!(end, vocabulary);
        }
    }
}
