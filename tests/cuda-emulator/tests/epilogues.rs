//! What cuBLASLt does with a product on its way to memory, against the formulas in double precision.

#![allow(
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    reason = "a call that fails has failed the test; what cudarc asks for is what each test sets up"
)]

mod common;

use std::sync::Arc;

use common::{address, device};
use cuda_emulator::ReportKind;
use cudarc::cublaslt::{result as lt, sys as lt_sys};
use cudarc::driver::{CudaSlice, CudaStream, DeviceRepr};
use lt_sys::cublasLtEpilogue_t as Epilogue;
use lt_sys::cublasLtMatmulDescAttributes_t as Attribute;
use lt_sys::cublasStatus_t as Status;
use lt_sys::cudaDataType as Type;

/// D [M, N] = op(A) [M, K]·op(B) [K, N], all stored by columns without gaps.
const M: usize = 11;
const N: usize = 5;
const K: usize = 9;

/// One product with an epilogue.
struct Case {
    epilogue: Epilogue,
    ty: Type,
    bias: u64,
    auxiliary: u64,
    ld: i64,
    beta: f32,
}

impl Case {
    /// What choosing an algorithm and starting the product answer; the latter is tried whatever the former says.
    fn run<T: DeviceRepr>(
        &self,
        stream: &Arc<CudaStream>,
        [a, b, d]: [&CudaSlice<T>; 3],
    ) -> [Result<(), Status>; 2] {
        let handle = lt::create_handle().unwrap();
        let layout = |rows: usize, cols| {
            lt::create_matrix_layout(self.ty, rows as u64, cols, rows as i64).unwrap()
        };
        let [la, lb, ld] = [layout(M, K as u64), layout(K, N as u64), layout(M, N as u64)];
        let compute = lt_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let description = lt::create_matmul_desc(compute, Type::CUDA_R_32F).unwrap();
        let set = |attribute, value: *const std::ffi::c_void, bytes| {
            unsafe { lt::set_matmul_desc_attribute(description, attribute, value, bytes) }.unwrap();
        };
        let kind = self.epilogue as u32;
        set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, (&raw const kind).cast(), 4);
        for (attribute, value) in [
            (Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, self.bias),
            (Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, self.auxiliary),
            (Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, self.ld as u64),
        ] {
            set(attribute, (&raw const value).cast(), 8);
        }
        let preference = lt::create_matmul_pref().unwrap();
        let chosen = unsafe {
            lt::get_matmul_algo_heuristic(handle, description, la, lb, ld, ld, preference)
        };
        let algorithm =
            chosen.as_ref().map_or_else(|_| unsafe { std::mem::zeroed() }, |found| found.algo);
        let alpha = 1.0_f32;
        let [a, b] = [a, b].map(|matrix| address(stream, matrix) as *const _);
        let d = address(stream, d) as *mut _;
        let started = unsafe {
            lt::matmul(
                handle,
                description,
                (&raw const alpha).cast(),
                (&raw const self.beta).cast(),
                a,
                la,
                b,
                lb,
                d,
                ld,
                d,
                ld,
                &raw const algorithm,
                std::ptr::null_mut(),
                0,
                stream.cu_stream().cast(),
            )
        };
        for layout in [la, lb, ld] {
            unsafe { lt::destroy_matrix_layout(layout) }.unwrap();
        }
        unsafe { lt::destroy_matmul_desc(description) }.unwrap();
        unsafe { lt::destroy_matmul_pref(preference) }.unwrap();
        unsafe { lt::destroy_handle(handle) }.unwrap();
        [chosen.map(drop), started].map(|answer| answer.map_err(|error| error.0))
    }
}

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 + seed * 11) % 23) as f32 / 11.0 - 1.0).collect()
}

/// GELU's approximation by tanh, and its slope by a central difference.
fn gelu(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    0.5 * x * (1.0 + inner.tanh())
}

fn slope(x: f64) -> f64 {
    (gelu(x + 1e-5) - gelu(x - 1e-5)) / 2e-5
}

#[track_caller]
fn assert_close(what: &str, got: &[f32], expected: impl Iterator<Item = f64>) {
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let off = (f64::from(*got) - expected).abs();
        assert!(off < 1e-5, "{what}, element {i}: {got} and not {expected}");
    }
}

#[test]
fn epilogues_follow_their_formulas() {
    let device = device();
    let stream = &device.context.new_stream().unwrap();
    let (a, b, bias) = (numbers(M * K, 1), numbers(K * N, 2), numbers(M, 3));
    let (before, former) = (numbers(M * N, 4), numbers(16 * N, 5));
    let sum = |row: usize, column: usize| -> f64 {
        (0..K).map(|i| f64::from(a[i * M + row]) * f64::from(b[column * K + i])).sum()
    };
    let [a_there, b_there, bias_there] =
        [&a, &b, &bias].map(|list| stream.clone_htod(list).unwrap());
    use Epilogue::*;
    for (epilogue, beta) in [
        (CUBLASLT_EPILOGUE_DEFAULT, 0.0),
        (CUBLASLT_EPILOGUE_BIAS, 0.0),
        (CUBLASLT_EPILOGUE_BIAS, 1.0),
        (CUBLASLT_EPILOGUE_GELU_AUX, 0.0),
        (CUBLASLT_EPILOGUE_GELU_AUX_BIAS, 0.0),
        (CUBLASLT_EPILOGUE_DGELU, 0.0),
        (CUBLASLT_EPILOGUE_BGRADB, 1.0),
    ] {
        let what = format!("{epilogue:?}, beta {beta}");
        let d_there = stream.clone_htod(&before).unwrap();
        let auxiliary_there = stream.clone_htod(&former).unwrap();
        let gradient_there = stream.clone_htod(&[9.0_f32; N]).unwrap();
        let is_gradient = epilogue == CUBLASLT_EPILOGUE_BGRADB;
        let case = Case {
            epilogue,
            ty: Type::CUDA_R_32F,
            bias: address(stream, if is_gradient { &gradient_there } else { &bias_there }),
            auxiliary: address(stream, &auxiliary_there),
            ld: 16,
            beta,
        };
        assert_eq!(case.run(stream, [&a_there, &b_there, &d_there]), [Ok(()); 2], "{what}");
        let d = stream.clone_dtoh(&d_there).unwrap();
        let auxiliary = stream.clone_dtoh(&auxiliary_there).unwrap();
        let adds = [CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_GELU_AUX_BIAS].contains(&epilogue);
        let keeps =
            [CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_GELU_AUX_BIAS].contains(&epilogue);
        let places = || (0..N).flat_map(|column| (0..M).map(move |row| (row, column)));
        let given = |(row, column): (usize, usize)| {
            let bias = if adds { f64::from(bias[row]) } else { 0.0 };
            sum(row, column) + f64::from(beta) * f64::from(before[column * M + row]) + bias
        };
        let expected = |place: (usize, usize)| match epilogue {
            CUBLASLT_EPILOGUE_DGELU => {
                given(place) * slope(f64::from(former[place.1 * 16 + place.0]))
            }
            _ if keeps => gelu(given(place)),
            _ => given(place),
        };
        assert_close(&what, &d, places().map(expected));
        for (column, kept) in auxiliary.chunks_exact(16).enumerate() {
            let untouched = &former[column * 16..][..16];
            assert_eq!(kept[M..], untouched[M..], "{what}: between the columns");
            match keeps {
                true => assert_close(&what, &kept[..M], (0..M).map(|row| given((row, column)))),
                false => assert_eq!(kept, untouched, "{what}"),
            }
        }
        let gradient = stream.clone_dtoh(&gradient_there).unwrap();
        let columns = b.chunks_exact(K).map(|column| column.iter().map(|x| f64::from(*x)).sum());
        match is_gradient {
            true => assert_close(&what, &gradient, columns),
            false => assert_eq!(gradient, [9.0; N], "{what}"),
        }
    }
    assert_eq!(device.emulator.take_reports(), []);
}

#[test]
fn what_a_card_refuses_is_refused() {
    let device = device();
    let stream = &device.context.new_stream().unwrap();
    let [a, b] = [M * K, K * N].map(|len| stream.clone_htod(&numbers(len, 1)).unwrap());
    let d = stream.clone_htod(&numbers(M * N, 1)).unwrap();
    let bias = stream.clone_htod(&numbers(M, 1)).unwrap();
    let auxiliary = stream.clone_htod(&numbers(16 * N, 1)).unwrap();
    let run = |epilogue, bias, auxiliary, ld| {
        let case = Case { epilogue, ty: Type::CUDA_R_32F, bias, auxiliary, ld, beta: 0.0 };
        case.run(stream, [&a, &b, &d])
    };
    use Epilogue::*;
    let (bias, auxiliary) = (address(stream, &bias), address(stream, &auxiliary));
    let unsupported = [Err(Status::CUBLAS_STATUS_NOT_SUPPORTED); 2];
    assert_eq!(
        run(CUBLASLT_EPILOGUE_GELU_AUX_BIAS, bias, auxiliary, 12),
        unsupported,
        "not whole 8"
    );
    assert_eq!(
        run(CUBLASLT_EPILOGUE_DGELU, bias, auxiliary, 8),
        unsupported,
        "shorter than a column"
    );
    device.emulator.refuse_epilogues(true);
    assert_eq!(run(CUBLASLT_EPILOGUE_BIAS, bias, 0, 0), unsupported);
    assert_eq!(run(CUBLASLT_EPILOGUE_DEFAULT, 0, 0, 0), [Ok(()); 2]);
    device.emulator.refuse_epilogues(false);
    let incomplete = [Ok(()), Err(Status::CUBLAS_STATUS_INVALID_VALUE)];
    assert_eq!(run(CUBLASLT_EPILOGUE_BIAS, 0, 0, 0), incomplete, "no bias");
    assert_eq!(
        run(CUBLASLT_EPILOGUE_BIAS, bias + 4, 0, 0),
        incomplete,
        "a bias not at whole 16 bytes"
    );
    assert_eq!(run(CUBLASLT_EPILOGUE_GELU_AUX, 0, 0, 16), incomplete, "no auxiliary matrix");
    assert_eq!(
        run(CUBLASLT_EPILOGUE_DGELU, 0, auxiliary + 4, 16),
        incomplete,
        "an auxiliary matrix not at whole 16 bytes"
    );
    // Of two failures of one call each comes once.
    let (not_supported, failed) = (15, 13);
    device.emulator.fail("cublasLtMatmul", not_supported);
    device.emulator.fail("cublasLtMatmul", failed);
    for status in [Status::CUBLAS_STATUS_NOT_SUPPORTED, Status::CUBLAS_STATUS_EXECUTION_FAILED] {
        assert_eq!(run(CUBLASLT_EPILOGUE_BIAS, bias, 0, 0), [Ok(()), Err(status)]);
    }
    assert_eq!(run(CUBLASLT_EPILOGUE_BIAS, bias, 0, 0), [Ok(()); 2]);
    assert_eq!(device.emulator.take_reports(), []);

    assert_eq!(run(CUBLASLT_EPILOGUE_RELU, bias, 0, 0), unsupported);
    let reports = device.emulator.take_reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].kind, ReportKind::Unsupported);

    // A bias that ends too early.
    let short = stream.clone_htod(&numbers(M - 1, 1)).unwrap();
    run(CUBLASLT_EPILOGUE_BIAS, address(stream, &short), 0, 0)[0].unwrap();
    let reports = device.emulator.take_reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(
        (reports[0].kind, &*reports[0].kernel),
        (ReportKind::OutOfBounds, "cublasLtMatmul, the bias")
    );
}

/// The bias, the auxiliary matrix and D are D's type; what comes between is not rounded.
#[test]
fn bf16_is_rounded_on_its_way_to_memory() {
    use half::bf16;
    let device = device();
    let stream = &device.context.new_stream().unwrap();
    let round = |values: Vec<f32>| values.into_iter().map(bf16::from_f32).collect::<Vec<_>>();
    let bits = |values: &[bf16]| values.iter().map(|value| value.to_bits()).collect::<Vec<u16>>();
    let (a, b, bias) = (round(numbers(M * K, 1)), round(numbers(K * N, 2)), round(numbers(M, 3)));
    let [a_there, b_there, bias_there] =
        [&a, &b, &bias].map(|list| stream.clone_htod(&bits(list)).unwrap());
    let d_there = stream.clone_htod(&[0_u16; M * N]).unwrap();
    let auxiliary_there = stream.clone_htod(&[0_u16; 16 * N]).unwrap();
    let case = Case {
        epilogue: Epilogue::CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
        ty: Type::CUDA_R_16BF,
        bias: address(stream, &bias_there),
        auxiliary: address(stream, &auxiliary_there),
        ld: 16,
        beta: 0.0,
    };
    assert_eq!(case.run(stream, [&a_there, &b_there, &d_there]), [Ok(()); 2]);
    let d = stream.clone_dtoh(&d_there).unwrap();
    let auxiliary = stream.clone_dtoh(&auxiliary_there).unwrap();
    for (row, column) in (0..M).flat_map(|row| (0..N).map(move |column| (row, column))) {
        let product = |i| f64::from(a[i * M + row]) * f64::from(b[column * K + i]);
        let given = (0..K).map(product).sum::<f64>() + f64::from(bias[row]);
        let within = |bits: u16, exact: f64| {
            // Half the distance of neighbours, and what f32's sums are off by.
            (bf16::from_bits(bits).to_f64() - exact).abs() <= exact.abs() / 256.0 + 1e-6
        };
        assert!(within(auxiliary[column * 16 + row], given), "{row}, {column}");
        assert!(within(d[column * M + row], gelu(given)), "{row}, {column}");
    }
    assert_eq!(device.emulator.take_reports(), []);
}
