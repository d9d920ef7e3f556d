//! Matrix products by cuBLASLt: bf16 or true f32 in, sums in f32, f32 or the same out.
//!
//! cuBLASLt thinks in columns: a row-major matrix [rows, columns] is its [columns, rows]. A product here is therefore
//! stated in cuBLASLt's terms, C [m, n] = op(A) [m, k]·op(B) [k, n], and `matmul` turns its rows into them. The compute type
//! is CUBLAS_COMPUTE_32F, which for f32 is not TF32. Its own choice of algorithm depends on shape, card and version, so
//! bytes are the same from run to run on one machine and not across machines. It is asked once per shape.

use super::{Buffer, Fault, Real};
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::{CudaStream, DevicePtr, DevicePtrMut, DeviceSlice};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::mem::size_of_val;
use std::sync::{Arc, Mutex, PoisonError};

/// cuBLASLt's handle and the memory that it works in.
#[derive(Debug)]
pub(crate) struct Products {
    handle: sys::cublasLtHandle_t,
    workspace: Buffer<u8>,
    plans: Mutex<HashMap<PlanShape, Plan>>,
}

// SAFETY: cuBLASLt's handle may be used from any thread, and from several at once.
unsafe impl Send for Products {}
// SAFETY: the same.
unsafe impl Sync for Products {}

impl Drop for Products {
    fn drop(&mut self) {
        self.plans.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
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

/// D [m, n] = op(A) [m, k]·op(B) [k, n] and what it begins with, in columns; D's columns are m apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
}

/// What the sums of a product begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Base<'a, T> {
    /// Zero.
    Nothing,
    /// What the result holds: D += op(A)·op(B).
    Itself,
    /// Another matrix as large.
    Matrix(&'a T),
}

impl Products {
    /// NVIDIA's recommendation for Hopper; 4 MiB before.
    const WORKSPACE_BYTES: usize = 32 << 20;
    const WORKSPACE_BYTES_BEFORE_HOPPER: usize = 4 << 20;

    /// Batches of ever other sizes would keep plans without end.
    const PLANS_MAX: usize = 4096;

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
        let workspace = unsafe { stream.alloc(bytes) }.map_err(|error| {
            Fault::of_allocation(stream.context(), error, bytes, "cuBLASLt's workspace")
        })?;
        let handle = result::create_handle().map_err(|_| Fault::NoProducts)?;
        Ok(Self { handle, workspace, plans: Mutex::default() })
    }

    /// Puts a product into the stream. The operands are R; D and what it begins with are R or f32.
    pub(crate) fn multiply<R: Real, C: Real>(
        &self,
        stream: &Arc<CudaStream>,
        d: &mut impl DevicePtrMut<C>,
        base: Base<impl DevicePtr<C>>,
        a: Operand<impl DevicePtr<R>>,
        b: Operand<impl DevicePtr<R>>,
        product: Product,
    ) -> Result<(), Fault> {
        let Product { m, n, k } = product;
        assert!(d.len() >= m * n, "D has {} elements, expected {m}·{n}", d.len());
        assert!(a.len() >= m * k && b.len() >= k * n, "A or B is smaller than {product:?}");
        let fault = |(call, error)| Fault::Product { call, m, n, k, real: R::NAME, error };
        let (a_strided, b_strided) = ((a.stride, a.transposed), (b.stride, b.transposed));
        let (a, _a_used) = a.data.device_ptr(stream);
        let (b, _b_used) = b.data.device_ptr(stream);
        let (d, _d_used) = d.device_ptr_mut(stream);
        let (c, beta, _c_used) = match base {
            Base::Nothing => (d, 0.0_f32, None),
            Base::Itself => (d, 1.0, None),
            Base::Matrix(c) => {
                assert!(c.len() >= m * n, "C has {} elements, expected {m}·{n}", c.len());
                let (c, used) = c.device_ptr(stream);
                (c, 1.0, Some(used))
            }
        };
        let (workspace, _workspace_used) = self.workspace.device_ptr(stream);
        let shape = PlanShape {
            m,
            n,
            k,
            a: a_strided,
            b: b_strided,
            operands: kind::<R>(),
            result: kind::<C>(),
            alignments: [a, b, c, d].map(alignment),
        };
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= Self::PLANS_MAX {
            plans.clear();
        }
        let plan = match plans.entry(shape) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let plan = Plan::new(self.handle, &shape, self.workspace.len()).map_err(fault)?;
                place.insert(plan)
            }
        };
        let alpha = 1.0_f32;
        // SAFETY: the sizes were held against the memory above, and the workspace is used on this one stream only.
        let started = unsafe {
            result::matmul(
                self.handle,
                plan.description.0,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                a as *const c_void,
                plan.a.0,
                b as *const c_void,
                plan.b.0,
                c as *const c_void,
                plan.c.0,
                d as *mut c_void,
                plan.c.0,
                &raw const plan.algorithm,
                workspace as *mut c_void,
                self.workspace.len(),
                stream.cu_stream().cast(),
            )
        };
        started.map_err(|error| fault(("cublasLtMatmul", error)))
    }
}

/// Everything that cuBLASLt's choice of algorithm depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PlanShape {
    m: usize,
    n: usize,
    k: usize,
    /// Stride, and whether transposed.
    a: (usize, bool),
    b: (usize, bool),
    operands: sys::cudaDataType,
    result: sys::cudaDataType,
    /// What the addresses of A, B, C and D are multiples of: an algorithm that loads more at a time would leave its place.
    alignments: [u32; 4],
}

/// The largest power of two that divides an address, 256 at most.
fn alignment(address: u64) -> u32 {
    1 << address.trailing_zeros().min(8)
}

/// What is asked of cuBLASLt once per shape and used again for every product of it.
#[derive(Debug)]
struct Plan {
    description: Description,
    a: Layout,
    b: Layout,
    /// Of C and of D.
    c: Layout,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl Plan {
    fn new(
        handle: sys::cublasLtHandle_t,
        shape: &PlanShape,
        workspace_bytes: usize,
    ) -> Result<Self, (&'static str, CublasError)> {
        let PlanShape { m, n, k, a: (a_stride, a_transposed), b: (b_stride, b_transposed), .. } =
            *shape;
        let (a_rows, a_columns) = if a_transposed { (k, m) } else { (m, k) };
        let (b_rows, b_columns) = if b_transposed { (n, k) } else { (k, n) };
        let in_call = |call| move |error| (call, error);
        let layout = in_call("cublasLtMatrixLayoutCreate");
        let a = Layout::new(shape.operands, a_rows, a_columns, a_stride).map_err(layout)?;
        let b = Layout::new(shape.operands, b_rows, b_columns, b_stride).map_err(layout)?;
        let c = Layout::new(shape.result, m, n, m).map_err(layout)?;
        let description = Description::new(a_transposed, b_transposed)
            .map_err(in_call("cublasLtMatmulDescCreate"))?;
        let preference = Preference::new(workspace_bytes, shape.alignments)
            .map_err(in_call("cublasLtMatmulPreferenceCreate"))?;
        // SAFETY: all of these live until the end of the function.
        let heuristic = unsafe {
            result::get_matmul_algo_heuristic(
                handle,
                description.0,
                a.0,
                b.0,
                c.0,
                c.0,
                preference.0,
            )
        };
        let algorithm = heuristic.map_err(in_call("cublasLtMatmulAlgoGetHeuristic"))?.algo;
        Ok(Self { description, a, b, c, algorithm })
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

#[derive(Debug)]
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

#[derive(Debug)]
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

#[derive(Debug)]
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn new(workspace_bytes: usize, alignments: [u32; 4]) -> Result<Self, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t::{
            CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        };
        let preference = Self(result::create_matmul_pref()?);
        let [a, b, c, d] = alignments;
        // SAFETY: the attribute is a size_t, copied during the call.
        unsafe { preference.set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes)? };
        for (attribute, alignment) in [
            (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, a),
            (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, b),
            (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c),
            (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, d),
        ] {
            // SAFETY: the attribute is a u32, copied during the call.
            unsafe { preference.set(attribute, &alignment)? };
        }
        Ok(preference)
    }

    /// # Safety
    /// The attribute is a T, copied during the call.
    unsafe fn set<T>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: &T,
    ) -> Result<(), CublasError> {
        let value_bytes = size_of_val(value);
        // SAFETY: the caller's promise.
        unsafe {
            result::set_matmul_pref_attribute(
                self.0,
                attribute,
                std::ptr::from_ref(value).cast(),
                value_bytes,
            )
        }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}
