//! The residual connection on a device.

use crate::cuda::{Device, Fault, Launch, Real, Source, View, ViewMut};
use cudarc::driver::PushKernelArg;

/// The kernels.
pub const SOURCE: Source = Source::new("residual.cu", include_str!("residual.cu"));

/// stream += branch, element by element; both of one length.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn add<R: Real>(
    device: &Device,
    stream: &mut ViewMut<R>,
    branch: &View<R>,
) -> Result<(), Fault> {
    let n = stream.len();
    assert_eq!(n, branch.len(), "stream and branch differ in length");
    let kernel = device.kernel::<R>(&SOURCE, "residual_add")?;
    let mut arguments = kernel.arguments(device);
    arguments.arg(stream).arg(branch).arg(&n);
    // SAFETY: both have n elements, and the kernel stops there.
    unsafe { kernel.launch(&mut arguments, Launch::elements(n)) }
}
