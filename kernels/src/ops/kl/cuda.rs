//! The Kullback–Leibler divergence on a device.

use crate::cuda::{Device, Fault, Launch, Source, View, ViewMut, count};
use cudarc::driver::PushKernelArg;

/// The kernels.
pub const SOURCE: Source = Source::new("kl.cu", include_str!("kl.cu"));

/// kl\[r\] = KL(softmax(p_logits\[r\]) ‖ softmax(q_logits\[r\])). Shapes: kl \[rows\], both logits \[rows, vocabulary\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn divergence(
    device: &Device,
    kl: &mut ViewMut<f32>,
    p_logits: &View<f32>,
    q_logits: &View<f32>,
    vocabulary: usize,
) -> Result<(), Fault> {
    let rows = kl.len();
    assert_eq!(
        [p_logits.len(), q_logits.len()],
        [rows * vocabulary; 2],
        "logits are not [{rows} rows, {vocabulary}]"
    );
    let kernel = device.kernel::<f32>(&SOURCE, "kl_divergence")?;
    let vocabulary_ = count(vocabulary);
    let mut arguments = kernel.arguments(device);
    arguments.arg(kl).arg(p_logits).arg(q_logits).arg(&vocabulary_);
    // SAFETY: one block per row of both logits.
    unsafe { kernel.launch(&mut arguments, Launch::rows(rows, vocabulary)) }
}
