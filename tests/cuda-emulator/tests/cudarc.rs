//! Unchanged cudarc on the stand-ins, with PTX that NVRTC 13.0 emitted from the `.cu` files beside it in `data`.

#![allow(
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    reason = "a call that fails has failed the test; what cudarc asks for is what each test sets up"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cuda_emulator::{Emulator, Report, ReportKind};
use cudarc::cublaslt::{result as lt, sys as lt_sys};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, DevicePtr, DevicePtrMut, LaunchConfig, PushKernelArg,
    sys,
};
use cudarc::nvrtc::Ptx;

/// Reports and errors belong to the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Device {
    emulator: Emulator,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    _alone: MutexGuard<'static, ()>,
}

fn device() -> Device {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = Emulator::install().unwrap();
    emulator.take_reports();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    Device { emulator, context, stream, _alone: alone }
}

impl Device {
    fn kernel(&self, ptx: &str, name: &str) -> CudaFunction {
        let module = self.context.load_module(Ptx::from_src(ptx)).unwrap();
        module.load_function(name).unwrap()
    }

    fn reports(&self) -> Vec<Report> {
        self.emulator.take_reports()
    }
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0).collect()
}

const NORM: &str = include_str!("data/norm.ptx");
const NORM_WITHOUT_BARRIER: &str = include_str!("data/norm_without_barrier.ptx");
const GEMM: &str = include_str!("data/gemm.ptx");
const GEMM_WITHOUT_WAIT: &str = include_str!("data/gemm_without_wait.ptx");

fn grid(blocks: u32, threads: u32, shared_mem_bytes: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes }
}

/// Largest difference from LayerNorm in f64, over `rows` rows when `blocks` blocks are launched.
fn layernorm(
    device: &Device,
    ptx: &str,
    rows: usize,
    columns: usize,
    blocks: u32,
) -> Result<f64, String> {
    let kernel = device.kernel(ptx, "layernorm");
    let stream = &device.stream;
    let (x, w, b) = (numbers(rows * columns), numbers(columns), vec![0.25; columns]);
    let inputs = [&x, &w, &b].map(|values| stream.clone_htod(values).unwrap());
    let mut y = unsafe { stream.alloc::<f32>(rows * columns) }.unwrap();
    for (buffer, name) in inputs.iter().zip(["x", "w", "b"]) {
        let (address, _sync) = buffer.device_ptr(stream);
        assert!(device.emulator.name(address, 4 * buffer.len(), name));
    }
    let (address, sync) = y.device_ptr_mut(stream);
    assert!(device.emulator.name(address, 4 * rows * columns, "y"));
    drop(sync);
    let (c, eps) = (columns as i32, 1e-5_f32);
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&mut y).arg(&inputs[0]).arg(&inputs[1]).arg(&inputs[2]).arg(&c).arg(&eps);
    unsafe { launch.launch(grid(blocks, 128, 0)) }.map_err(|error| error.to_string())?;
    stream.synchronize().map_err(|error| format!("{:?}", error.0))?;
    let y = stream.clone_dtoh(&y).unwrap();
    let mut worst = 0.0_f64;
    for (x, y) in x.chunks(columns).zip(y.chunks(columns)) {
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / columns as f64;
        let variance =
            x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / columns as f64;
        for ((x, y), w) in x.iter().zip(y).zip(&w) {
            let expected = (f64::from(*x) - mean) / (variance + 1e-5).sqrt() * f64::from(*w) + 0.25;
            worst = worst.max((expected - f64::from(*y)).abs());
        }
    }
    Ok(worst)
}

#[test]
fn a_kernel_from_nvrtc_computes_what_it_should() {
    let device = device();
    for (rows, columns) in [(5, 200), (1, 1), (3, 129)] {
        let worst = layernorm(&device, NORM, rows, columns, rows as u32);
        let worst = worst.unwrap_or_else(|error| panic!("{error}: {:?}", device.reports()));
        assert!(worst < 2e-6, "{rows} × {columns}: {worst}");
    }
    assert_eq!(device.reports(), []);
}

#[test]
fn one_block_too_many_is_an_illegal_address_with_the_buffers_name() {
    let device = device();
    let error = layernorm(&device, NORM, 4, 200, 5).unwrap_err();
    assert_eq!(error, "CUDA_ERROR_ILLEGAL_ADDRESS");
    let reports = device.reports();
    assert_eq!(reports[0].kind, ReportKind::OutOfBounds);
    assert_eq!((reports[0].buffer.as_str(), reports[0].offset), ("x", 4 * 4 * 200));
    assert_eq!((reports[0].block, reports[0].thread), ([4, 0, 0], [0, 0, 0]));
    assert!(reports[0].instruction.starts_with("ld.global"), "{}", reports[0]);
    // The error ended with the reports.
    layernorm(&device, NORM, 4, 200, 4).unwrap();
}

#[test]
fn a_missing_barrier_is_found_though_the_values_may_be_right() {
    let device = device();
    assert!(layernorm(&device, NORM_WITHOUT_BARRIER, 2, 256, 2).is_err());
    let reports = device.reports();
    let kinds: Vec<_> = reports.iter().map(|report| report.kind).collect();
    assert!(
        kinds.contains(&ReportKind::Race) || kinds.contains(&ReportKind::UninitialisedRead),
        "{reports:?}"
    );
    assert!(reports.iter().all(|report| report.buffer.contains("part")), "{reports:?}");
}

#[test]
fn of_four_barriers_only_the_last_can_be_spared() {
    let device = device();
    let lines: Vec<&str> = NORM.lines().collect();
    let kernel = NORM.find(".entry layernorm").unwrap();
    let first = NORM[..kernel].lines().count();
    let end = NORM.find(".entry softplus").map_or(lines.len(), |end| NORM[..end].lines().count());
    let of_layernorm = if end > first { first..end } else { first..lines.len() };
    let barriers = of_layernorm.filter(|line| lines[*line].contains("bar.sync"));
    let caught: Vec<bool> = barriers
        .map(|dropped| {
            let mut mutant = lines.clone();
            mutant[dropped] = "";
            let failed = layernorm(&device, &mutant.join("\n"), 2, 256, 2).is_err();
            device.reports();
            failed
        })
        .collect();
    assert_eq!(caught, [true, true, true, false]);
}

#[test]
fn dynamic_shared_memory_is_as_large_as_the_launch_says() {
    let device = device();
    let kernel = device.kernel(NORM, "softplus");
    let x = numbers(100);
    let input = device.stream.clone_htod(&x).unwrap();
    let n = 100_i32;
    for (bytes, fits) in [(4 * 64, true), (4 * 63, false)] {
        let mut y = device.stream.alloc_zeros::<f32>(100).unwrap();
        let mut launch = device.stream.launch_builder(&kernel);
        launch.arg(&mut y).arg(&input).arg(&n);
        unsafe { launch.launch(grid(2, 64, bytes)) }.unwrap();
        assert_eq!(device.stream.synchronize().is_ok(), fits);
        let reports = device.reports();
        if !fits {
            assert_eq!((reports[0].buffer.as_str(), reports[0].offset), ("tile", 4 * 63));
            continue;
        }
        assert_eq!(reports, []);
        for (x, y) in x.iter().zip(device.stream.clone_dtoh(&y).unwrap()) {
            assert!((f64::from(*x).exp().ln_1p() - f64::from(y)).abs() < 1e-6);
        }
    }
}

/// `C = A Bᵀ` by the kernel on tensor cores; the largest relative difference from f64.
fn tensor_cores(device: &Device, ptx: &str, m: usize, n: usize, k: usize) -> f64 {
    let kernel = device.kernel(ptx, "gemm_nt_bf16");
    let bf16 = |values: Vec<f32>| values.into_iter().map(half::bf16::from_f32).collect::<Vec<_>>();
    let (a, b) = (bf16(numbers(m * k)), bf16(numbers(n * k).into_iter().rev().collect()));
    let upload = |values: &[half::bf16]| {
        let bits: Vec<u16> = values.iter().map(|value| value.to_bits()).collect();
        device.stream.clone_htod(&bits).unwrap()
    };
    let (da, db) = (upload(&a), upload(&b));
    let mut c = unsafe { device.stream.alloc::<f32>(m * n) }.unwrap();
    let sizes = [m as i32, n as i32, k as i32];
    let mut launch = device.stream.launch_builder(&kernel);
    launch.arg(&mut c).arg(&da).arg(&db).arg(&sizes[0]).arg(&sizes[1]).arg(&sizes[2]);
    let config = LaunchConfig {
        grid_dim: (n as u32 / 64, m as u32 / 64, 1),
        block_dim: (128, 1, 1),
        shared_mem_bytes: 0,
    };
    unsafe { launch.launch(config) }.unwrap();
    if device.stream.synchronize().is_err() {
        return f64::NAN;
    }
    let c = device.stream.clone_dtoh(&c).unwrap();
    let mut worst = 0.0_f64;
    for row in 0..m {
        for column in 0..n {
            let products = (0..k).map(|i| a[row * k + i].to_f64() * b[column * k + i].to_f64());
            let expected: f64 = products.sum();
            worst = worst
                .max((expected - f64::from(c[row * n + column])).abs() / expected.abs().max(1.0));
        }
    }
    worst
}

#[test]
fn tensor_cores_multiply() {
    let device = device();
    let worst = tensor_cores(&device, GEMM, 64, 128, 96);
    assert_eq!(device.reports(), []);
    assert!(worst < 1e-6, "{worst}");
}

#[test]
fn a_copy_that_is_not_waited_for_is_found() {
    let device = device();
    assert!(tensor_cores(&device, GEMM_WITHOUT_WAIT, 64, 64, 96).is_nan());
    let reports = device.reports();
    assert_eq!(reports[0].kind, ReportKind::UninitialisedRead, "{reports:?}");
    assert!(reports[0].instruction.starts_with("ldmatrix"));
}

#[test]
fn a_graph_does_its_work_again_each_time() {
    let device = device();
    // Events of buffers would tie the capture to work before it.
    unsafe { device.context.disable_event_tracking() };
    let stream = device.context.new_stream().unwrap();
    let kernel = device.kernel(NORM, "softplus");
    let mut x = stream.clone_htod(&vec![0.0_f32; 64]).unwrap();
    let mut y = stream.alloc_zeros::<f32>(64).unwrap();
    let n = 64_i32;
    let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    stream.begin_capture(mode).unwrap();
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&mut y).arg(&x).arg(&n);
    unsafe { launch.launch(grid(1, 64, 256)) }.unwrap();
    let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0)).unwrap().unwrap();
    assert_eq!(stream.clone_dtoh(&y).unwrap(), [0.0; 64], "nothing ran during the capture");
    for value in [0.0_f32, 1.0] {
        stream.memcpy_htod(&[value; 64], &mut x).unwrap();
        graph.launch().unwrap();
        let y = stream.clone_dtoh(&y).unwrap();
        assert!((y[63] - value.exp().ln_1p()).abs() < 1e-6);
    }
    assert_eq!(device.reports(), []);
}

/// A matrix for cuBLASLt.
struct Matrix {
    rows: u64,
    cols: u64,
    ld: i64,
    row_order: bool,
}

impl Matrix {
    fn layout(
        &self,
        ty: lt_sys::cudaDataType,
        batches: i32,
        stride: i64,
    ) -> lt_sys::cublasLtMatrixLayout_t {
        use lt_sys::cublasLtMatrixLayoutAttribute_t as Attribute;
        let layout = lt::create_matrix_layout(ty, self.rows, self.cols, self.ld).unwrap();
        let order = i32::from(self.row_order);
        let set = |attribute, value: *const std::ffi::c_void, bytes| {
            unsafe { lt::set_matrix_layout_attribute(layout, attribute, value, bytes) }.unwrap();
        };
        set(Attribute::CUBLASLT_MATRIX_LAYOUT_ORDER, (&raw const order).cast(), 4);
        set(Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, (&raw const batches).cast(), 4);
        set(Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, (&raw const stride).cast(), 8);
        layout
    }

    fn at(&self, row: u64, col: u64) -> usize {
        let (along, across) = if self.row_order { (col, row) } else { (row, col) };
        (across * self.ld as u64 + along) as usize
    }
}

#[test]
fn cublaslt_multiplies_in_every_order_and_over_batches() {
    let device = device();
    let stream = &device.stream;
    let handle = lt::create_handle().unwrap();
    let (m, n, k, batches) = (3_u64, 5_u64, 9_u64, 2_usize);
    for case in 0..16 {
        let (ta, tb, rows, uses_c) = (case & 1 != 0, case & 2 != 0, case & 4 != 0, case & 8 != 0);
        let matrix = |a: u64, b: u64, turned: bool| {
            let (rows_of, cols_of) = if turned { (b, a) } else { (a, b) };
            let along = if rows { cols_of } else { rows_of };
            Matrix { rows: rows_of, cols: cols_of, ld: along as i64 + 1, row_order: rows }
        };
        let (a, b, c) = (matrix(m, k, ta), matrix(k, n, tb), matrix(m, n, false));
        let stride = 100;
        let f32_type = lt_sys::cudaDataType::CUDA_R_32F;
        let layouts =
            [&a, &b, &c].map(|matrix| matrix.layout(f32_type, batches as i32, stride as i64));
        let (va, vb, vc) = (numbers(200), numbers(200), vec![0.5_f32; 200]);
        let (da, db) = (stream.clone_htod(&va).unwrap(), stream.clone_htod(&vb).unwrap());
        let mut dc = stream.clone_htod(&vc).unwrap();
        let compute = lt_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let description = lt::create_matmul_desc(compute, f32_type).unwrap();
        use lt_sys::cublasLtMatmulDescAttributes_t as Attribute;
        for (attribute, turned) in [
            (Attribute::CUBLASLT_MATMUL_DESC_TRANSA, ta),
            (Attribute::CUBLASLT_MATMUL_DESC_TRANSB, tb),
        ] {
            let turned = i32::from(turned);
            unsafe {
                lt::set_matmul_desc_attribute(description, attribute, (&raw const turned).cast(), 4)
            }
            .unwrap();
        }
        let (alpha, beta) = (2.0_f32, if uses_c { 3.0_f32 } else { 0.0 });
        let preference = lt::create_matmul_pref().unwrap();
        let [la, lb, lc] = layouts;
        let chosen = unsafe {
            lt::get_matmul_algo_heuristic(handle, description, la, lb, lc, lc, preference)
        }
        .unwrap();
        {
            let (pa, _a) = da.device_ptr(stream);
            let (pb, _b) = db.device_ptr(stream);
            let (pc, _c) = dc.device_ptr_mut(stream);
            unsafe {
                lt::matmul(
                    handle,
                    description,
                    (&raw const alpha).cast(),
                    (&raw const beta).cast(),
                    pa as *const _,
                    la,
                    pb as *const _,
                    lb,
                    pc as *const _,
                    lc,
                    pc as *mut _,
                    lc,
                    &raw const chosen.algo,
                    std::ptr::null_mut(),
                    0,
                    stream.cu_stream().cast(),
                )
            }
            .unwrap();
        }
        let result = stream.clone_dtoh(&dc).unwrap();
        for batch in 0..batches {
            for row in 0..m {
                for col in 0..n {
                    let left = |i| if ta { a.at(i, row) } else { a.at(row, i) };
                    let right = |i| if tb { b.at(col, i) } else { b.at(i, col) };
                    let products = (0..k).map(|i| {
                        f64::from(va[batch * stride + left(i)])
                            * f64::from(vb[batch * stride + right(i)])
                    });
                    let expected = 2.0 * products.sum::<f64>() + f64::from(beta) * 0.5;
                    let got = f64::from(result[batch * stride + c.at(row, col)]);
                    assert!((expected - got).abs() < 1e-5, "case {case}: {expected} {got}");
                }
            }
        }
        for layout in layouts {
            unsafe { lt::destroy_matrix_layout(layout) }.unwrap();
        }
        unsafe { lt::destroy_matmul_desc(description) }.unwrap();
        unsafe { lt::destroy_matmul_pref(preference) }.unwrap();
    }
    assert_eq!(device.reports(), []);
    unsafe { lt::destroy_handle(handle) }.unwrap();
}

#[test]
fn a_module_says_what_it_cannot_do() {
    let device = device();
    let ptx = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry strange()\n{\n.reg .b32 %r<2>;\nfrobnicate.b32 %r1, 1;\nret;\n}\n";
    let module = device.context.load_module(Ptx::from_src(ptx)).unwrap();
    assert!(module.load_function("strange").is_err());
    assert!(module.load_function("absent").is_err());
    let reports = device.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].kind, reports[0].line), (ReportKind::Unsupported, 7));
    assert!(reports[0].detail.contains("frobnicate"));
}
