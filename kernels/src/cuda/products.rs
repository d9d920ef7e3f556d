//! Matrix products by cuBLASLt: bf16 or true f32 in, sums in f32, f32 or the same out.
//!
//! cuBLASLt thinks in columns: a row-major matrix [rows, columns] is its [columns, rows]. A product here is therefore
//! stated in cuBLASLt's terms, C [m, n] = op(A) [m, k]·op(B) [k, n], and `matmul` turns its rows into them. The compute type
//! is CUBLAS_COMPUTE_32F, which for f32 is not TF32. Its own choice of algorithm depends on shape, card and version, so
//! bytes are the same from run to run on one machine and not across machines.

use super::{Buffer, Fault, Real};
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::{CudaStream, DevicePtr, DevicePtrMut, DeviceSlice};
use std::ffi::c_void;
use std::mem::size_of_val;
use std::sync::Arc;

/// cuBLASLt's handle and the memory that it works in.
#[derive(Debug)]
pub(crate) struct Products {
    handle: sys::cublasLtHandle_t,
    workspace: Buffer<u8>,
}

// SAFETY: cuBLASLt's handle may be used from any thread, and from several at once.
unsafe impl Send for Products {}
// SAFETY: the same.
unsafe impl Sync for Products {}

impl Drop for Products {
    fn drop(&mut self) {
        // SAFETY: the handle was created in `new` and is destroyed once. There is nobody to tell of an error.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// op(A) or op(B) as it lies in memory, in columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub(crate) data: &'a T,
    /// Elements from one column to the next.
    pub(crate) stride: usize,
    pub(crate) transposed: bool,
}

/// C [m, n] = or += op(A) [m, k]·op(B) [k, n], in columns; C's columns are m apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) accumulate: bool,
}

impl Products {
    /// NVIDIA's recommendation for Hopper; 4 MiB before.
    const WORKSPACE_BYTES: usize = 32 << 20;
    const WORKSPACE_BYTES_BEFORE_HOPPER: usize = 4 << 20;

    pub(super) fn new(stream: &Arc<CudaStream>, major: i32) -> Result<Self, Fault> {
        // SAFETY: looks for a library by its names and loads it.
        if !unsafe { sys::is_culib_present() } {
            return Err(Fault::NoProducts);
        }
        let bytes = match major {
            9.. => Self::WORKSPACE_BYTES,
            _ => Self::WORKSPACE_BYTES_BEFORE_HOPPER,
        };
        // SAFETY: nothing but cuBLASLt reads it, and that only what it wrote.
        let workspace = unsafe { stream.alloc(bytes) }
            .map_err(|error| Fault::of_allocation(stream.context(), error, bytes))?;
        let handle = result::create_handle().map_err(|_| Fault::NoProducts)?;
        Ok(Self { handle, workspace })
    }

    /// Puts a product into the stream. The operands are R; C is R or f32.
    pub(crate) fn multiply<R: Real, C: Real>(
        &self,
        stream: &Arc<CudaStream>,
        c: &mut impl DevicePtrMut<C>,
        a: Operand<impl DevicePtr<R>>,
        b: Operand<impl DevicePtr<R>>,
        product: Product,
    ) -> Result<(), Fault> {
        let Product { m, n, k, accumulate } = product;
        assert!(c.len() >= m * n, "C has {} elements, expected {m}·{n}", c.len());
        assert!(a.len() >= m * k && b.len() >= k * n, "A or B is smaller than {product:?}");
        let fault = |call| move |error| Fault::Product { call, m, n, k, real: R::NAME, error };
        let (a_rows, a_columns) = if a.transposed { (k, m) } else { (m, k) };
        let (b_rows, b_columns) = if b.transposed { (n, k) } else { (k, n) };
        let layout = fault("cublasLtMatrixLayoutCreate");
        let a_layout = Layout::new(kind::<R>(), a_rows, a_columns, a.stride).map_err(&layout)?;
        let b_layout = Layout::new(kind::<R>(), b_rows, b_columns, b.stride).map_err(&layout)?;
        let c_layout = Layout::new(kind::<C>(), m, n, m).map_err(&layout)?;
        let description = Description::new(a.transposed, b.transposed)
            .map_err(fault("cublasLtMatmulDescCreate"))?;
        let preference = Preference::new(self.workspace.len())
            .map_err(fault("cublasLtMatmulPreferenceCreate"))?;
        // SAFETY: all of these live until the end of the function.
        let heuristic = unsafe {
            result::get_matmul_algo_heuristic(
                self.handle,
                description.0,
                a_layout.0,
                b_layout.0,
                c_layout.0,
                c_layout.0,
                preference.0,
            )
        };
        let heuristic = heuristic.map_err(fault("cublasLtMatmulAlgoGetHeuristic"))?;
        let (alpha, beta) = (1.0_f32, f32::from(u8::from(accumulate)));
        let (a, _a_used) = a.data.device_ptr(stream);
        let (b, _b_used) = b.data.device_ptr(stream);
        let (c, _c_used) = c.device_ptr_mut(stream);
        let (workspace, _workspace_used) = self.workspace.device_ptr(stream);
        // SAFETY: the sizes were held against the memory above, and the workspace is used on this one stream only.
        let started = unsafe {
            result::matmul(
                self.handle,
                description.0,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                a as *const c_void,
                a_layout.0,
                b as *const c_void,
                b_layout.0,
                c as *const c_void,
                c_layout.0,
                c as *mut c_void,
                c_layout.0,
                &raw const heuristic.algo,
                workspace as *mut c_void,
                self.workspace.len(),
                stream.cu_stream().cast(),
            )
        };
        started.map_err(fault("cublasLtMatmul"))
    }
}

impl<T> Operand<'_, T> {
    fn len<R>(&self) -> usize
    where
        T: DeviceSlice<R>,
    {
        self.data.len()
    }
}

fn kind<R: Real>() -> sys::cudaDataType {
    match R::DEFINITION {
        None => sys::cudaDataType::CUDA_R_32F,
        Some(_) => sys::cudaDataType::CUDA_R_16BF,
    }
}

struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    fn new(
        kind: sys::cudaDataType,
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> Result<Self, CublasError> {
        result::create_matrix_layout(kind, rows as u64, columns as u64, stride as i64).map(Self)
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

struct Description(sys::cublasLtMatmulDesc_t);

impl Description {
    fn new(a_transposed: bool, b_transposed: bool) -> Result<Self, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t::{
            CUBLASLT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSB,
        };
        let description = result::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType::CUDA_R_32F,
        );
        let description = Self(description?);
        for (attribute, transposed) in [
            (CUBLASLT_MATMUL_DESC_TRANSA, a_transposed),
            (CUBLASLT_MATMUL_DESC_TRANSB, b_transposed),
        ] {
            // CUBLAS_OP_N and CUBLAS_OP_T.
            let operation = i32::from(transposed);
            // SAFETY: the attribute is an i32, copied during the call.
            unsafe {
                result::set_matmul_desc_attribute(
                    description.0,
                    attribute,
                    (&raw const operation).cast(),
                    size_of_val(&operation),
                )?;
            }
        }
        Ok(description)
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn new(workspace_bytes: usize) -> Result<Self, CublasError> {
        let preference = Self(result::create_matmul_pref()?);
        // SAFETY: the attribute is a size_t, copied during the call.
        unsafe {
            result::set_matmul_pref_attribute(
                preference.0,
                sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                (&raw const workspace_bytes).cast(),
                size_of_val(&workspace_bytes),
            )?;
        }
        Ok(preference)
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}
