//! Drawing tokens on a device. The uniforms are the host's; the same u gives the same token.

use crate::cuda::{Buffer, Device, Fault, Launch, Source, View, ViewMut, count};
use cudarc::driver::PushKernelArg;

/// The kernels.
pub const SOURCE: Source = Source::new("sample.cu", include_str!("sample.cu"));

/// ids\[r\] is drawn from softmax(logits\[r\]) by uniforms\[r\], and logp\[r\] is its log-probability.
/// Shapes: logits \[rows, vocabulary\], all others \[rows\]; uniforms lie in \[0, 1).
///
/// # Errors
/// [`Fault`] of the launch.
pub fn categorical(
    device: &Device,
    ids: &mut ViewMut<u32>,
    logp: &mut ViewMut<f32>,
    logits: &View<f32>,
    uniforms: &Buffer<f64>,
    vocabulary: usize,
) -> Result<(), Fault> {
    let rows = ids.len();
    assert_eq!(logits.len(), rows * vocabulary, "logits are not [{rows} rows, {vocabulary}]");
    assert_eq!(
        [logp.len(), uniforms.len()],
        [rows; 2],
        "log-probs, uniforms and ids differ in length"
    );
    let kernel = device.kernel::<f32>(&SOURCE, "sample_categorical")?;
    let vocabulary_ = count(vocabulary);
    let mut arguments = kernel.arguments(device);
    arguments.arg(ids).arg(logp).arg(logits).arg(uniforms).arg(&vocabulary_);
    // SAFETY: one block per row, of as many threads as the kernel has room for.
    unsafe { kernel.launch(&mut arguments, Launch::whole_rows(rows)) }
}

/// ids\[r\] is the first of the largest of logits\[r\]. Shapes: logits \[rows, vocabulary\], ids \[rows\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn likeliest(
    device: &Device,
    ids: &mut ViewMut<u32>,
    logits: &View<f32>,
    vocabulary: usize,
) -> Result<(), Fault> {
    let rows = ids.len();
    assert_eq!(logits.len(), rows * vocabulary, "logits are not [{rows} rows, {vocabulary}]");
    let kernel = device.kernel::<f32>(&SOURCE, "sample_likeliest")?;
    let vocabulary_ = count(vocabulary);
    let mut arguments = kernel.arguments(device);
    arguments.arg(ids).arg(logits).arg(&vocabulary_);
    // SAFETY: one block per row, of as many threads as the kernel has room for.
    unsafe { kernel.launch(&mut arguments, Launch::whole_rows(rows)) }
}

/// logits ← logits/temperature, for drawing at another temperature than 1.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn divide(device: &Device, logits: &mut ViewMut<f32>, temperature: f64) -> Result<(), Fault> {
    let (kernel, n) = (device.kernel::<f32>(&SOURCE, "sample_divide")?, logits.len());
    let mut arguments = kernel.arguments(device);
    arguments.arg(logits).arg(&temperature).arg(&n);
    // SAFETY: the kernel stops at the n-th logit.
    unsafe { kernel.launch(&mut arguments, Launch::elements(n)) }
}
