//! cuBLASLt: `D = alpha op(A) op(B) + beta C`, computed plainly in f32 on checked memory.
//!
//! The stand-in for libcublasLt.so hands every call to the function of the same name here. Products over bf16, f16 and f32
//! with either order of storage, transposes and strided batches are emulated, and some epilogues (`epilogues`); scale pointers
//! and scalars in device memory are not, and say so.

use std::ffi::c_void;

use super::epilogues::Epilogue;
use super::queue::stream_of;
use super::state::{Driver, Work, host_report, with};
use super::{Handle, SUCCESS, calls, get, put};
use crate::report::ReportKind;

/// `CUBLAS_STATUS_INVALID_VALUE`.
const STATUS_INVALID_VALUE: i32 = 7;
/// `CUBLAS_STATUS_EXECUTION_FAILED`.
const STATUS_EXECUTION_FAILED: i32 = 13;
/// `CUBLAS_STATUS_NOT_SUPPORTED`.
const STATUS_NOT_SUPPORTED: i32 = 15;

/// A matrix: `cublasLtMatrixLayout_t`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    ty: i32,
    rows: u64,
    cols: u64,
    /// Elements from a column to the next; in row order, from a row.
    ld: i64,
    is_row_order: bool,
    n_batches: i32,
    /// Elements from a matrix of the batch to the next.
    stride: i64,
}

/// `cudaDataType_t`.
const R_32F: i32 = 0;
const R_16F: i32 = 2;
const R_16BF: i32 = 14;

impl Layout {
    /// A matrix stored by columns.
    pub(crate) fn columns(ty: i32, rows: u64, cols: u64, ld: i64) -> Self {
        Self { ty, rows, cols, ld, is_row_order: false, n_batches: 1, stride: 0 }
    }

    /// `cudaDataType_t`.
    pub(crate) fn ty(&self) -> i32 {
        self.ty
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn is_single_in_columns(&self) -> bool {
        !self.is_row_order && self.n_batches == 1
    }

    fn element_bytes(&self) -> Option<u64> {
        match self.ty {
            R_32F => Some(4),
            R_16F | R_16BF => Some(2),
            _ => None,
        }
    }

    fn place(&self, batch: u64, row: u64, col: u64) -> i64 {
        let (along, across) = if self.is_row_order { (col, row) } else { (row, col) };
        batch as i64 * self.stride + across as i64 * self.ld + along as i64
    }

    fn is_sound(&self) -> bool {
        let along = if self.is_row_order { self.cols } else { self.rows };
        self.rows > 0 && self.cols > 0 && self.ld >= along as i64 && self.element_bytes().is_some()
    }
}

/// How to multiply: `cublasLtMatmulDesc_t`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Description {
    transposes_a: bool,
    transposes_b: bool,
    epilogue: Epilogue,
    /// An attribute was set to what is not emulated.
    unsupported: Option<i32>,
}

/// One call of `cublasLtMatmul`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    description: Description,
    alpha: f32,
    beta: f32,
    a: (u64, Layout),
    b: (u64, Layout),
    c: (u64, Layout),
    d: (u64, Layout),
}

impl Product {
    pub(crate) fn epilogue(&self) -> Epilogue {
        self.description.epilogue
    }

    /// `cudaDataType_t` of D.
    pub(crate) fn result_type(&self) -> i32 {
        self.d.1.ty()
    }

    /// m, n, k; none where the shapes do not fit.
    fn sizes(&self) -> Option<(u64, u64, u64)> {
        let turned = |layout: &Layout, turn| match turn {
            true => (layout.cols, layout.rows),
            false => (layout.rows, layout.cols),
        };
        let (m, k) = turned(&self.a.1, self.description.transposes_a);
        let (kb, n) = turned(&self.b.1, self.description.transposes_b);
        let (c, d) = (&self.c.1, &self.d.1);
        let fit = k == kb && (d.rows, d.cols) == (m, n) && (c.rows, c.cols) == (m, n);
        let layouts = [&self.a.1, &self.b.1, c, d];
        let batches = layouts.iter().all(|layout| layout.n_batches == d.n_batches);
        let sound = layouts.iter().all(|layout| layout.is_sound());
        (fit && batches && sound).then_some((m, n, k))
    }
}

impl Driver {
    /// Computes a product whose shapes fit.
    pub(crate) fn product(&mut self, product: &Product) -> i32 {
        let Some((m, n, k)) = product.sizes() else {
            return STATUS_INVALID_VALUE;
        };
        let n_batches = product.d.1.n_batches.max(1) as u64;
        for batch in 0..n_batches {
            let Some(a) = self.read_matrix("A", product.a, product.description.transposes_a, batch)
            else {
                return STATUS_EXECUTION_FAILED;
            };
            // Turned, so that both sums run along memory.
            let Some(b) =
                self.read_matrix("B", product.b, !product.description.transposes_b, batch)
            else {
                return STATUS_EXECUTION_FAILED;
            };
            let mut result = vec![0.0; (m * n) as usize];
            if product.beta != 0.0 {
                let Some(c) = self.read_matrix("C", product.c, false, batch) else {
                    return STATUS_EXECUTION_FAILED;
                };
                result = c;
            }
            let (columns, length) = (n as usize, k as usize);
            for (row, results) in result.chunks_exact_mut(columns).enumerate() {
                let left = &a[row * length..(row + 1) * length];
                for (column, result) in results.iter_mut().enumerate() {
                    let right = &b[column * length..(column + 1) * length];
                    let sum = dot(left, right);
                    *result = match product.beta {
                        0.0 => product.alpha * sum,
                        beta => product.alpha * sum + beta * *result,
                    };
                }
            }
            let finished = self
                .finish(product, &mut result, &b, (m, n, k))
                .and_then(|()| self.write_matrix("D", product.d, batch, &result));
            if finished.is_none() {
                return STATUS_EXECUTION_FAILED;
            }
        }
        SUCCESS
    }

    /// One matrix of a batch, row after row, turned where it is asked for.
    pub(crate) fn read_matrix(
        &mut self,
        name: &str,
        (address, layout): (u64, Layout),
        turn: bool,
        batch: u64,
    ) -> Option<Vec<f32>> {
        let bytes = layout.element_bytes()?;
        let (rows, cols) = (layout.rows, layout.cols);
        let mut values = vec![0.0; (rows * cols) as usize];
        let (mut unwritten, mut nobody) = (None, None);
        for row in 0..rows {
            for col in 0..cols {
                let at = address.wrapping_add_signed(layout.place(batch, row, col) * bytes as i64);
                let place = match self.memory.place(at, bytes as usize) {
                    Ok(place) => place,
                    Err(why) => {
                        nobody = Some(why);
                        break;
                    }
                };
                let data = &place.bytes[place.start..place.start + bytes as usize];
                let to = if turn { col * rows + row } else { row * cols + col };
                values[to as usize] = read(layout.ty, data);
                if !place.shadow.is_written(place.start, bytes as usize) {
                    unwritten.get_or_insert(at);
                }
            }
        }
        let call = format!("cublasLtMatmul, {name}");
        if let Some(why) = nobody {
            self.refuse(&call, why);
            self.error = ReportKind::OutOfBounds.error();
            return None;
        }
        if let Some(at) = unwritten {
            let (buffer, offset) = self.memory.describe(at);
            let detail = "an element is read that nothing wrote".to_owned();
            let report = host_report(ReportKind::UninitialisedRead, &call, buffer, offset, detail);
            self.note(vec![report]);
        }
        Some(values)
    }

    /// Writes one matrix of a batch; none where memory is nobody's.
    pub(crate) fn write_matrix(
        &mut self,
        name: &str,
        (address, layout): (u64, Layout),
        batch: u64,
        values: &[f32],
    ) -> Option<()> {
        let bytes = layout.element_bytes()?;
        for (place, value) in values.iter().enumerate() {
            let (row, col) = (place as u64 / layout.cols, place as u64 % layout.cols);
            let at = address.wrapping_add_signed(layout.place(batch, row, col) * bytes as i64);
            match self.memory.place(at, bytes as usize) {
                Ok(place) => {
                    write(
                        layout.ty,
                        &mut place.bytes[place.start..place.start + bytes as usize],
                        *value,
                    );
                    place.shadow.set_written(place.start, bytes as usize, true);
                }
                Err(why) => {
                    self.refuse(&format!("cublasLtMatmul, {name}"), why);
                    self.error = ReportKind::OutOfBounds.error();
                    return None;
                }
            }
        }
        Some(())
    }
}

/// Eight partial sums, so that the compiler can use vectors; the order is fixed.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (left, right) = (left.chunks_exact(8), right.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (left, right) in left.zip(right) {
        for lane in 0..8 {
            sums[lane] += left[lane] * right[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn read(ty: i32, bytes: &[u8]) -> f32 {
    match (ty, bytes) {
        (R_32F, [a, b, c, d]) => f32::from_le_bytes([*a, *b, *c, *d]),
        (R_16F, [a, b]) => half::f16::from_le_bytes([*a, *b]).to_f32(),
        (_, [a, b]) => half::bf16::from_le_bytes([*a, *b]).to_f32(),
        _ => f32::NAN,
    }
}

fn write(ty: i32, bytes: &mut [u8], value: f32) {
    match ty {
        R_32F => bytes.copy_from_slice(&value.to_le_bytes()),
        R_16F => bytes.copy_from_slice(&half::f16::from_f32(value).to_le_bytes()),
        _ => bytes.copy_from_slice(&half::bf16::from_f32(value).to_le_bytes()),
    }
}

/// A description that the caller keeps by its address.
fn keep<T>(to: *mut *mut T, value: T) -> i32 {
    put(to, Box::into_raw(Box::new(value)))
}

fn destroy<T>(value: *mut T) -> i32 {
    if !value.is_null() {
        // SAFETY: the interface asks callers for what a create call gave, once; those come from `Box::into_raw`.
        drop(unsafe { Box::from_raw(value) });
    }
    SUCCESS
}

fn change<T: Copy>(at: *mut T, f: impl FnOnce(&mut T) -> i32) -> i32 {
    let Some(mut value) = get(at.cast_const()) else {
        return STATUS_INVALID_VALUE;
    };
    let status = f(&mut value);
    put(at, value);
    status
}

/// An attribute's value, of four or eight bytes.
fn number(value: *const c_void, bytes: usize) -> Option<i64> {
    match bytes {
        4 => get(value.cast::<i32>()).map(i64::from),
        8 => get(value.cast::<i64>()),
        _ => None,
    }
}

/// `cublasLtMatmulHeuristicResult_t`: an algorithm of 64 bytes, then the workspace's size, a status, and the rest.
type Heuristic = [u64; 12];

calls! {
    fn cuda_emulator_cublasLtCreate(handle: *mut usize) { put(handle, 1) }
    fn cuda_emulator_cublasLtDestroy(_handle: Handle) { SUCCESS }
    fn cuda_emulator_cublasLtMatrixLayoutCreate(layout: *mut *mut Layout, ty: i32, rows: u64, cols: u64, ld: i64) {
        keep(layout, Layout::columns(ty, rows, cols, ld))
    }
    fn cuda_emulator_cublasLtMatrixLayoutSetAttribute(layout: *mut Layout, attribute: i32, value: *const c_void, bytes: usize) {
        let Some(value) = number(value, bytes) else { return STATUS_INVALID_VALUE };
        change(layout, |layout| {
            match attribute {
                0 => layout.ty = value as i32,
                1 if value <= 1 => layout.is_row_order = value == 1,
                2 => layout.rows = value as u64,
                3 => layout.cols = value as u64,
                4 => layout.ld = value,
                5 => layout.n_batches = value as i32,
                6 => layout.stride = value,
                _ => return STATUS_NOT_SUPPORTED,
            }
            SUCCESS
        })
    }
    fn cuda_emulator_cublasLtMatrixLayoutDestroy(layout: *mut Layout) { destroy(layout) }
    fn cuda_emulator_cublasLtMatmulDescCreate(description: *mut *mut Description, compute: i32, scale: i32) {
        // f32 accumulation of any speed; scalars in f32.
        let known = [68, 69, 74, 75, 77].contains(&compute) && scale == R_32F;
        if known { keep(description, Description::default()) } else { STATUS_NOT_SUPPORTED }
    }
    fn cuda_emulator_cublasLtMatmulDescSetAttribute(
        description: *mut Description, attribute: i32, value: *const c_void, bytes: usize,
    ) {
        let Some(value) = number(value, bytes) else { return STATUS_INVALID_VALUE };
        change(description, |description| {
            match (attribute, value) {
                (3, _) => description.transposes_a = value != 0,
                (4, _) => description.transposes_b = value != 0,
                (7 | 8 | 11 | 12 | 26, _) => {
                    if !description.epilogue.set(attribute, value) {
                        description.unsupported = Some(attribute);
                    }
                }
                // Scalars on the host, C as it is, the whole matrix: what is emulated anyway.
                (2 | 5, 0) | (6, _) => {}
                // The number of multiprocessors to use.
                (15, _) => {}
                _ => description.unsupported = Some(attribute),
            }
            SUCCESS
        })
    }
    fn cuda_emulator_cublasLtMatmulDescDestroy(description: *mut Description) { destroy(description) }
    fn cuda_emulator_cublasLtMatmulPreferenceCreate(preference: *mut usize) { put(preference, 1) }
    fn cuda_emulator_cublasLtMatmulPreferenceSetAttribute(
        _preference: Handle, _attribute: i32, _value: *const c_void, _bytes: usize,
    ) { SUCCESS }
    fn cuda_emulator_cublasLtMatmulPreferenceDestroy(_preference: Handle) { SUCCESS }
    fn cuda_emulator_cublasLtMatmulAlgoGetHeuristic(
        _handle: Handle, description: *const Description, _a: Handle, _b: Handle, _c: Handle, d: *const Layout,
        _preference: Handle, wanted: i32, results: *mut Heuristic, found: *mut i32,
    ) {
        let unsupported = get(description).zip(get(d)).is_none_or(|(description, d)| {
            description.unsupported.is_some() || !description.epilogue.is_supported(&d)
        });
        if unsupported || wanted < 1 {
            put(found, 0);
            return if unsupported { STATUS_NOT_SUPPORTED } else { STATUS_INVALID_VALUE };
        }
        put(results, [0; 12]);
        put(found, 1)
    }
    fn cuda_emulator_cublasLtMatmul(
        _handle: Handle, description: *const Description, alpha: *const f32, a: u64, a_layout: *const Layout, b: u64,
        b_layout: *const Layout, beta: *const f32, c: u64, c_layout: *const Layout, d: u64, d_layout: *const Layout,
        _algorithm: Handle, _workspace: Handle, _workspace_bytes: usize, stream: Handle,
    ) {
        let layouts = (get(a_layout), get(b_layout), get(c_layout), get(d_layout));
        let (Some(la), Some(lb), Some(lc), Some(ld)) = layouts else { return STATUS_INVALID_VALUE };
        let scalars = (get(description), get(alpha), get(beta));
        let (Some(description), Some(alpha), Some(beta)) = scalars else { return STATUS_INVALID_VALUE };
        if let Some(attribute) = description.unsupported {
            let detail = format!("attribute {attribute} of the description is not emulated");
            let report = host_report(ReportKind::Unsupported, "cublasLtMatmul", String::new(), 0, detail);
            with(|driver| driver.reports.push(report));
            return STATUS_NOT_SUPPORTED;
        }
        let product = Product { description, alpha, beta, a: (a, la), b: (b, lb), c: (c, lc), d: (d, ld) };
        if product.sizes().is_none() || !description.epilogue.is_complete() {
            return STATUS_INVALID_VALUE;
        }
        if !description.epilogue.is_supported(&ld) {
            return STATUS_NOT_SUPPORTED;
        }
        match with(|driver| driver.submit(stream_of(stream), Work::Product(product))) {
            SUCCESS => SUCCESS,
            _ => STATUS_EXECUTION_FAILED,
        }
    }
}
