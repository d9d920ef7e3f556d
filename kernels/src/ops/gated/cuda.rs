//! The gated activation of a feed-forward layer on a device.

use crate::activation::Activation;
use crate::activation::cuda::curve;
use crate::cuda::{CURVES, Device, Fault, Launch, Real, Source, View, ViewMut, aligned};
use cudarc::driver::{DevicePtr, PushKernelArg};

/// The kernels.
pub const SOURCE: Source =
    Source::new("gated.cu", include_str!("gated.cu")).with_header("curve.cuh", CURVES);

/// y = f(gate)·up, element by element; all of one length.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    gate: &View<R>,
    up: &View<R>,
    activation: Activation,
) -> Result<(), Fault> {
    let (n, curve) = (y.len(), curve(activation));
    assert_eq!([gate.len(), up.len()], [n, n], "y, gate and up differ in length");
    let kernel = device.kernel::<R>(&SOURCE, "gated_forward")?;
    let stream = device.stream();
    let read = [gate, up].map(|array| array.device_ptr(stream).0);
    let aligned = aligned(&[read.as_slice(), &[y.device_ptr(stream).0]].concat());
    let mut arguments = kernel.arguments(device);
    arguments.arg(y).arg(gate).arg(up).arg(&n).arg(&curve).arg(&aligned);
    // SAFETY: all have n elements, and the kernel stops there.
    unsafe { kernel.launch(&mut arguments, Launch::sixteens::<R>(n)) }
}

/// dgate and dup are overwritten; all of one length.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn backward<R: Real>(
    device: &Device,
    dgate: &mut ViewMut<R>,
    dup: &mut ViewMut<R>,
    dy: &View<R>,
    gate: &View<R>,
    up: &View<R>,
    activation: Activation,
) -> Result<(), Fault> {
    let (n, curve) = (dy.len(), curve(activation));
    let lens = [dgate.len(), dup.len(), gate.len(), up.len()];
    assert_eq!(lens, [n; 4], "dgate, dup, gate, up and dy differ in length");
    let kernel = device.kernel::<R>(&SOURCE, "gated_backward")?;
    let stream = device.stream();
    let read = [dy, gate, up].map(|array| array.device_ptr(stream).0);
    let written = [&*dgate, &*dup].map(|array| array.device_ptr(stream).0);
    let aligned = aligned(&[read.as_slice(), &written].concat());
    let mut arguments = kernel.arguments(device);
    arguments.arg(dgate).arg(dup).arg(dy).arg(gate).arg(up).arg(&n).arg(&curve).arg(&aligned);
    // SAFETY: all have n elements, and the kernel stops there.
    unsafe { kernel.launch(&mut arguments, Launch::sixteens::<R>(n)) }
}
