//! The global norm on a device, and the factor that clips by it. Neither comes to the host unless it is asked for.

use crate::cuda::{Buffer, Device, Fault, Launch, Source, Staged, View, count};
use cudarc::driver::PushKernelArg;

/// The kernels.
pub const SOURCE: Source = Source::new("clip.cu", include_str!("clip.cu"));

/// Stretches that a buffer's squares are added up in; the same on every card.
const STRETCHES: usize = 1024;

/// The norm and the factor, on the device. It is made once and filled by every step.
#[derive(Debug)]
pub struct Norm {
    norm: Buffer<f64>,
    factor: Buffer<f32>,
    on_host: Staged<f64>,
}

impl Norm {
    /// The norm of nothing: 0.
    ///
    /// # Errors
    /// [`Fault::OutOfMemory`].
    pub fn new(device: &Device) -> Result<Self, Fault> {
        let (norm, factor) = (device.zeros(1)?, device.zeros(1)?);
        Ok(Self { norm, factor, on_host: Staged::default() })
    }

    /// √Σ g², brought to the host.
    ///
    /// # Errors
    /// [`Fault`] of the copy.
    pub fn value(&mut self, device: &Device) -> Result<f64, Fault> {
        self.on_host.download(device, &self.norm.as_view())?;
        Ok(self.on_host.values()?[0])
    }

    /// min(1, maximum/(norm + 10⁻⁶)); one element.
    pub fn factor(&self) -> &Buffer<f32> {
        &self.factor
    }
}

/// √Σ g² over the whole buffer, summed in `f64` in a fixed order, and the factor that clips it to `maximum`.
///
/// # Errors
/// [`Fault`] of the launches.
pub fn global_norm(
    device: &Device,
    norm: &mut Norm,
    gradients: &View<f32>,
    maximum: f64,
) -> Result<(), Fault> {
    let n = gradients.len();
    let per_block = n.div_ceil(STRETCHES).max(1);
    let blocks = n.div_ceil(per_block);
    let mut partials = device.scratch::<f64>(blocks)?;
    let kernel = device.kernel::<f32>(&SOURCE, "clip_squares")?;
    let mut arguments = kernel.arguments(device);
    arguments.arg(&mut *partials).arg(gradients).arg(&n).arg(&per_block);
    // SAFETY: one partial per block, and the kernel stops at the n-th gradient.
    unsafe { kernel.launch(&mut arguments, Launch::whole_rows(blocks))? };

    let kernel = device.kernel::<f32>(&SOURCE, "clip_norm")?;
    let n_blocks = count(blocks);
    let mut arguments = kernel.arguments(device);
    arguments.arg(&mut norm.norm).arg(&mut norm.factor).arg(&*partials);
    arguments.arg(&n_blocks).arg(&maximum);
    // SAFETY: one block; partials are [blocks].
    unsafe { kernel.launch(&mut arguments, Launch::whole_rows(1)) }
}
