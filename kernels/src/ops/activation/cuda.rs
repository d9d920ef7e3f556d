//! The activation of a feed-forward layer on a device.

use super::Activation;
use crate::cuda::{CURVES, Device, Fault, Launch, Real, Source, View, ViewMut, aligned};
use cudarc::driver::{DevicePtr, PushKernelArg};

/// The kernels.
pub const SOURCE: Source =
    Source::new("activation.cu", include_str!("activation.cu")).with_header("curve.cuh", CURVES);

/// The number that `curve.cuh` knows it by.
pub(crate) fn curve(activation: Activation) -> u32 {
    match activation {
        Activation::Silu => 0,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::Relu => 3,
    }
}

/// y = f(x); both of one length.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward<R: Real>(
    device: &Device,
    y: &mut ViewMut<R>,
    x: &View<R>,
    activation: Activation,
) -> Result<(), Fault> {
    let (n, curve) = (y.len(), curve(activation));
    assert_eq!(n, x.len(), "x and y differ in length");
    let kernel = device.kernel::<R>(&SOURCE, "activation_forward")?;
    let stream = device.stream();
    let aligned = aligned(&[y.device_ptr(stream).0, x.device_ptr(stream).0]);
    let mut arguments = kernel.arguments(device);
    arguments.arg(y).arg(x).arg(&n).arg(&curve).arg(&aligned);
    // SAFETY: both have n elements, and the kernel stops there.
    unsafe { kernel.launch(&mut arguments, Launch::sixteens::<R>(n)) }
}

/// dx = dy·f′(x), written over; all of one length.
///
/// # Errors
/// [`Fault`] of the launch.
pub fn backward<R: Real>(
    device: &Device,
    dx: &mut ViewMut<R>,
    dy: &View<R>,
    x: &View<R>,
    activation: Activation,
) -> Result<(), Fault> {
    let (n, curve) = (dx.len(), curve(activation));
    assert_eq!([dy.len(), x.len()], [n, n], "dx, dy and x differ in length");
    let kernel = device.kernel::<R>(&SOURCE, "activation_backward")?;
    let stream = device.stream();
    let starts = [dx.device_ptr(stream).0, dy.device_ptr(stream).0, x.device_ptr(stream).0];
    let aligned = aligned(&starts);
    let mut arguments = kernel.arguments(device);
    arguments.arg(dx).arg(dy).arg(x).arg(&n).arg(&curve).arg(&aligned);
    // SAFETY: all have n elements, and the kernel stops there.
    unsafe { kernel.launch(&mut arguments, Launch::sixteens::<R>(n)) }
}
