//! What follows a product, where cuBLASLt does it and where it has no algorithm that does.

use crate::device::{another, device};
use crate::layers::{check_gelu, check_linear};
use crate::parity::down;
use crate::support::{assert_close, random};
use cuda_emulator::Emulator;
use kernels::cuda::{Bf16, Device, Refused};
use kernels::matmul::cuda::Added;
use kernels::{Write, bias, matmul};
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
    let device = another().watched();
    check_linear::<f32>(&device);
    check_linear::<Bf16>(&device);
    check_gelu::<f32>(&device);
    check_gelu::<Bf16>(&device);
}

/// Of a small layer.
const SHAPE: matmul::Shape = matmul::Shape { rows: 5, inputs: 8, outputs: 16 };

/// A layer with a bias that begins `skipped` numbers after its memory does: what it gives, and whether a kernel ran.
fn biased(device: &Device, emulator: Emulator, skipped: usize) -> (Vec<f32>, bool) {
    let [x, w, b] = [40, 128, 16 + skipped].map(|len| random::<f32>(len, len as u64));
    let [x_there, w_there, b_there] = [&x, &w, &b].map(|list| device.upload(list).unwrap());
    let mut y = device.zeros::<f32>(80).unwrap();
    let before = emulator.n_instructions();
    let b_view = b_there.slice(skipped..);
    let added = Added { base: None, bias: Some(&b_view) };
    let (x_view, w_view) = (&x_there.as_view(), &w_there.as_view());
    matmul::cuda::forward_adding(device, &mut y.as_view_mut(), x_view, w_view, added, SHAPE)
        .unwrap();
    let got = down(device, &y);
    let mut expected = vec![0.0; 80];
    matmul::forward(&mut expected, &x, &w, SHAPE, Write::Overwrite);
    bias::forward(&mut expected, &b[skipped..]);
    assert_close("y", &got, &expected, 1e-5);
    (got, emulator.n_instructions() > before)
}

/// An algorithm that is there and then does not run is not tried again; what else fails there ends the work, as does a
/// product without an epilogue.
#[test]
fn an_epilogue_that_fails_at_its_start_is_left_to_kernels() {
    let what = "an_epilogue_that_fails_at_its_start_is_left_to_kernels";
    let Some(session) = device(what) else { return };
    let (emulator, device) = (session.emulator(), another());
    const EXECUTION_FAILED: i32 = 13;
    const NOT_SUPPORTED: i32 = 15;
    assert_eq!(device.refused_epilogues(), []);
    emulator.fail("cublasLtMatmul", NOT_SUPPORTED);
    let (first, with_kernel) = biased(&device, emulator, 0);
    assert!(with_kernel);
    assert_eq!(biased(&device, emulator, 0), (first, true), "it is remembered");
    let refused = device.refused_epilogues();
    let expected =
        Refused { epilogue: "BIAS", m: 16, n: 5, k: 8, real: "f32", is_misaligned: false };
    assert_eq!(refused, [expected]);

    let x = device.upload(&random::<f32>(40, 1)).unwrap();
    let w = device.upload(&random::<f32>(128, 2)).unwrap();
    let b = device.upload(&random::<f32>(16, 3)).unwrap();
    let (mut y, mut sums) = (device.zeros::<f32>(80).unwrap(), device.zeros::<f32>(80).unwrap());
    let (x, w, b) = (&x.as_view(), &w.as_view(), &b.as_view());
    emulator.fail("cublasLtMatmul", EXECUTION_FAILED);
    let (y, sums) = (&mut y.as_view_mut(), &mut sums.as_view_mut());
    let gelu = matmul::cuda::forward_gelu(&device, y, sums, x, w, Some(b), SHAPE);
    emulator.fail("cublasLtMatmul", NOT_SUPPORTED);
    let plain = matmul::cuda::forward(&device, y, x, w, SHAPE, Write::Overwrite);
    for (fault, named) in [(gelu, "EXECUTION_FAILED"), (plain, "NOT_SUPPORTED")] {
        let fault = fault.expect_err("nothing else can do it").to_string();
        assert!(fault.contains("failed in cublasLtMatmul") && fault.contains(named), "{fault}");
    }
    assert_eq!(device.refused_epilogues(), refused);
}

/// cuBLASLt may load 16 bytes of it at a time, and is not told where it lies.
#[test]
fn a_bias_off_16_bytes_is_left_to_kernels() {
    let Some(session) = device("a_bias_off_16_bytes_is_left_to_kernels") else { return };
    let (emulator, device) = (session.emulator(), another());
    for (skipped, with_kernel) in [(0, false), (1, true), (2, true), (4, false), (6, true)] {
        assert_eq!(biased(&device, emulator, skipped).1, with_kernel, "{skipped} skipped");
    }
    let misaligned: Vec<bool> =
        device.refused_epilogues().iter().map(|refused| refused.is_misaligned).collect();
    assert_eq!(misaligned, [true]);
}

#[test]
fn no_kernel_runs_where_an_epilogue_does() {
    let Some(session) = device("no_kernel_runs_where_an_epilogue_does") else { return };
    let run = |device: &Device| {
        let before = session.emulator().n_instructions();
        let [x, w, b, dy] =
            [40, 128, 16, 80].map(|len| device.upload(&random::<f32>(len, 1)).unwrap());
        let [mut y, mut sums, mut dsums] =
            [80, 80, 40].map(|len| device.zeros::<f32>(len).unwrap());
        let (x, w, b) = (&x.as_view(), &w.as_view(), &b.as_view());
        let (y, sums) = (&mut y.as_view_mut(), &mut sums.as_view_mut());
        let dy = &dy.as_view();
        let added = Added { base: Some(dy), bias: Some(b) };
        matmul::cuda::forward_adding(device, y, x, w, added, SHAPE).unwrap();
        matmul::cuda::forward_gelu(device, y, sums, x, w, Some(b), SHAPE).unwrap();
        let dsums = &mut dsums.as_view_mut();
        matmul::cuda::backward_gelu(device, dsums, dy, w, x, SHAPE).unwrap();
        device.synchronize().unwrap();
        session.emulator().n_instructions() - before
    };
    assert_eq!(run(&another()), 0);
    let _refusal = Refusal::begin(session.emulator());
    assert!(run(&another()) > 0, "kernels do what cuBLASLt refuses");
}
