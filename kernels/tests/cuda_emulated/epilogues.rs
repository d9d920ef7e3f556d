//! What follows a product, where cuBLASLt does it and where it has no algorithm that does.

use crate::device::device;
use crate::layers::{check_gelu, check_linear};
use crate::support::random;
use cuda_emulator::Emulator;
use kernels::cuda::{Bf16, Device};
use kernels::matmul::{self, cuda::Added};
use lossbox_kernels as kernels;

/// Epilogues are refused as long as it is there.
struct Refusal(Emulator);

impl Refusal {
    fn begin(emulator: Emulator) -> Self {
        emulator.refuse_epilogues(true);
        Self(emulator)
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.0.refuse_epilogues(false);
    }
}

#[test]
fn layers_agree_without_epilogues() {
    let Some(session) = device("layers_agree_without_epilogues") else { return };
    let _refusal = Refusal::begin(session.emulator());
    // Another device, which has not asked yet.
    let device = Device::open(0, None).unwrap().watched();
    check_linear::<f32>(&device);
    check_linear::<Bf16>(&device);
    check_gelu::<f32>(&device);
    check_gelu::<Bf16>(&device);
}

#[test]
fn no_kernel_runs_where_an_epilogue_does() {
    let Some(session) = device("no_kernel_runs_where_an_epilogue_does") else { return };
    let run = |device: &Device| {
        let before = session.emulator().n_instructions();
        let shape = matmul::Shape { rows: 5, inputs: 8, outputs: 16 };
        let [x, w, b, dy] =
            [40, 128, 16, 80].map(|len| device.upload(&random::<f32>(len, 1)).unwrap());
        let [mut y, mut sums, mut dsums] =
            [80, 80, 40].map(|len| device.zeros::<f32>(len).unwrap());
        let (x, w, b) = (&x.as_view(), &w.as_view(), &b.as_view());
        let (y, sums) = (&mut y.as_view_mut(), &mut sums.as_view_mut());
        let dy = &dy.as_view();
        let added = Added { base: Some(dy), bias: Some(b) };
        matmul::cuda::forward_adding(device, y, x, w, added, shape).unwrap();
        matmul::cuda::forward_gelu(device, y, sums, x, w, Some(b), shape).unwrap();
        let dsums = &mut dsums.as_view_mut();
        matmul::cuda::backward_gelu(device, dsums, dy, w, x, shape).unwrap();
        device.synchronize().unwrap();
        session.emulator().n_instructions() - before
    };
    assert_eq!(run(&Device::open(0, None).unwrap()), 0);
    let _refusal = Refusal::begin(session.emulator());
    assert!(run(&Device::open(0, None).unwrap()) > 0, "kernels do what cuBLASLt refuses");
}
