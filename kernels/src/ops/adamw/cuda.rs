//! AdamW on a device: masters and moments f32, and a copy of the parameters as the products read them.

use super::cpu::Factors;
use super::{Group, Settings};
use crate::cuda::{Buffer, Device, Fault, Launch, Real, Source, Staged, View, ViewMut, aligned};
use cudarc::driver::{DevicePtr, DeviceRepr, PushKernelArg, ValidAsZeroBits};

/// The kernels.
pub const SOURCE: Source = Source::new("adamw.cu", include_str!("adamw.cu"));

// SAFETY: seven f32 in C's order, as the kernel declares it.
unsafe impl DeviceRepr for Factors {}
// SAFETY: zero bits are seven times 0.
unsafe impl ValidAsZeroBits for Factors {}

/// What the scalars of a step are on the device: they change from step to step, and an update that was captured finds them there.
#[derive(Debug)]
pub struct Scalars {
    /// One per group.
    there: Buffer<Factors>,
    on_host: Staged<Factors>,
}

impl Scalars {
    /// Room for those of this many groups, at least one.
    ///
    /// # Errors
    /// [`Fault::OutOfMemory`].
    pub fn new(device: &Device, n_groups: usize) -> Result<Self, Fault> {
        Ok(Self { there: device.zeros(n_groups)?, on_host: Staged::default() })
    }

    /// Copies those of a step there, counted from 1.
    ///
    /// # Errors
    /// [`Fault`] of the copy.
    pub fn set(
        &mut self,
        device: &Device,
        step: u64,
        settings: &Settings,
        groups: &[Group],
    ) -> Result<(), Fault> {
        assert!(step >= 1, "steps are counted from 1, got 0");
        let factors = groups.iter().map(|group| Factors::new(settings, group.weight_decay, step));
        self.on_host.upload(device, &mut self.there.as_view_mut(), factors)
    }
}

/// The running means, one element per parameter, zero before the first step.
#[derive(Debug)]
pub struct Moments<'a, 'b> {
    /// Mean of the gradient.
    pub first: &'a mut ViewMut<'b, f32>,
    /// Mean of the squared gradient.
    pub second: &'a mut ViewMut<'b, f32>,
}

/// One update by the scalars of a step. Gradients are multiplied with `factor` (one element, see [`crate::clip::cuda::Norm`])
/// first. All buffers have one length; the groups are disjoint. `copy` gets the new parameters as R, where there is one.
///
/// # Errors
/// [`Fault`] of the launches.
#[expect(clippy::too_many_arguments, reason = "the CPU's, and what bf16 and clipping need")]
pub fn step<R: Real>(
    device: &Device,
    parameters: &mut ViewMut<f32>,
    mut copy: Option<&mut ViewMut<R>>,
    moments: Moments,
    gradients: &View<f32>,
    factor: &Buffer<f32>,
    scalars: &Scalars,
    groups: &[Group],
) -> Result<(), Fault> {
    let Moments { first, second } = moments;
    let n = parameters.len();
    assert_eq!(
        [gradients.len(), first.len(), second.len()],
        [n; 3],
        "parameters, gradients and moments differ in length"
    );
    assert!(
        copy.as_ref().is_none_or(|copy| copy.len() == n),
        "parameters and their copy differ in length"
    );
    assert_eq!(factor.len(), 1, "one factor for all gradients");
    assert_eq!(groups.len(), scalars.there.len(), "each group has its scalars");
    let stream = device.stream();
    let starts = [&*parameters, &*first, &*second].map(|array| array.device_ptr(stream).0);
    let copy_start = copy.as_ref().map_or(0, |copy| copy.device_ptr(stream).0);
    let others = [gradients.device_ptr(stream).0, copy_start];
    let in_fours = aligned(&[starts.as_slice(), &others].concat());
    let kernel = device.kernel::<R>(&SOURCE, "adamw_step")?;
    for (group, Group { range, .. }) in groups.iter().enumerate() {
        assert!(range.end <= n, "a group ends at {} of {n} parameters", range.end);
        let factors = scalars.there.slice(group..group + 1);
        let none = 0_u64;
        let mut arguments = kernel.arguments(device);
        arguments.arg(&mut *parameters).arg(&mut *first).arg(&mut *second).arg(gradients);
        arguments.arg(factor);
        match &mut copy {
            Some(copy) => arguments.arg(&mut **copy),
            // A null pointer.
            None => arguments.arg(&none),
        };
        arguments.arg(&factors).arg(&range.start).arg(&range.end).arg(&in_fours);
        let fours = range.end.div_ceil(4) - range.start / 4;
        // SAFETY: all arrays have n elements, and the kernel keeps to those of the group.
        unsafe { kernel.launch(&mut arguments, Launch::elements(fours))? };
    }
    Ok(())
}
