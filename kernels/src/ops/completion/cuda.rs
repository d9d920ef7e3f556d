//! Sums of completions on a device: what crosses to the host and back is one number per completion.

use crate::cuda::{Device, Fault, Launch, Packer, Parcel, Piece, Source, View, ViewMut, count};
use cudarc::driver::PushKernelArg;

/// The kernels.
pub const SOURCE: Source = Source::new("completion.cu", include_str!("completion.cu"));

/// Where the completions of a batch begin, on the device.
#[derive(Debug)]
pub struct Starts {
    /// \[completions + 1\]
    starts: Piece<u32>,
    n_tokens: usize,
}

impl Starts {
    /// Copies them there; at least one completion.
    ///
    /// # Errors
    /// [`Fault`] of the copy.
    pub fn upload(device: &Device, starts: &[u32]) -> Result<Self, Fault> {
        Parcel::alone(device, |packer| Self::pack(packer, starts))
    }

    /// The same for starts that travel with others.
    ///
    /// # Errors
    /// The same.
    pub fn pack(packer: &mut Packer, starts: &[u32]) -> Result<Self, Fault> {
        let n_tokens = starts.last().map_or(0, |&end| end as usize);
        super::check(starts.len().saturating_sub(1), n_tokens, starts);
        Ok(Self { starts: packer.put(starts)?, n_tokens })
    }

    fn n_completions(&self) -> usize {
        self.starts.len() - 1
    }

    fn check(&self, completions: usize, tokens: usize) {
        let expected = [self.n_completions(), self.n_tokens];
        assert_eq!([completions, tokens], expected, "not the numbers of completions and tokens");
    }
}

/// sums\[c\] = Σ of completion c's log-probs. Shapes: sums \[completions\], logps \[tokens\].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn forward(
    device: &Device,
    sums: &mut ViewMut<f64>,
    logps: &View<f32>,
    starts: &Starts,
) -> Result<(), Fault> {
    starts.check(sums.len(), logps.len());
    let kernel = device.kernel::<f32>(&SOURCE, "completion_forward")?;
    let n = count(starts.n_completions());
    let mut arguments = kernel.arguments(device);
    arguments.arg(sums).arg(logps).arg(&*starts.starts).arg(&n);
    // SAFETY: one warp per completion, whose tokens lie within logps, and the kernel stops at the last one.
    unsafe { kernel.launch(&mut arguments, Launch::warps(starts.n_completions())) }
}

/// dlogps\[t\] = derivatives\[c\] for every token of completion c. Shapes as in [`forward`].
///
/// # Errors
/// [`Fault`] of the launch.
pub fn backward(
    device: &Device,
    dlogps: &mut ViewMut<f32>,
    derivatives: &View<f32>,
    starts: &Starts,
) -> Result<(), Fault> {
    starts.check(derivatives.len(), dlogps.len());
    let kernel = device.kernel::<f32>(&SOURCE, "completion_backward")?;
    let n = count(starts.n_completions());
    let mut arguments = kernel.arguments(device);
    arguments.arg(dlogps).arg(derivatives).arg(&*starts.starts).arg(&n);
    // SAFETY: the same.
    unsafe { kernel.launch(&mut arguments, Launch::warps(starts.n_completions())) }
}
