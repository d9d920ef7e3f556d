//! Matrix products by cuBLASLt: bf16 or true f32 in, sums in f32, f32 or the same out.
//!
//! cuBLASLt thinks in columns: a row-major matrix [rows, columns] is its [columns, rows]. A product here is therefore
//! stated in cuBLASLt's terms, C [m, n] = op(A) [m, k]·op(B) [k, n], and `matmul` turns its rows into them. The compute type
//! is CUBLAS_COMPUTE_32F, which for f32 is not TF32. Its own choice of algorithm depends on shape, card and version, so
//! bytes are the same from run to run on one machine and not across machines. It is asked once per shape.
//!
//! What follows a product element by element can be done on its way to memory ([`Epilogue`]), if cuBLASLt has an algorithm that
//! does it for this shape and type. That is for it to say, when it is asked for an algorithm or when that is started, and is not
//! asked again; kernels do what it refuses.

use super::{Bf16, Buffer, Fault, Real, View, ViewMut};
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{self, cublasLtEpilogue_t as Kind, cublasStatus_t as Status};
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
    /// None where the epilogue is for kernels to do.
    plans: Mutex<HashMap<PlanShape, Option<Plan>>>,
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

/// D [m, n] = op(A) [m, k]·op(B) [k, n] and what it begins with, in columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// Elements from one column of D, and of what it begins with, to the next; m where there is an epilogue.
    pub(crate) stride: usize,
}

impl Product {
    /// Elements from the beginning of D to its end.
    fn span(&self) -> usize {
        self.n.saturating_sub(1) * self.stride + self.m
    }
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

/// What is done with a product's sums before they are stored, T as D is.
#[derive(Debug)]
pub(crate) enum Epilogue<'a, 'b, T> {
    Nothing,
    /// A number for each row of D is added, [m].
    Bias(&'a View<'b, T>),
    /// D is GELU of the sums, by its approximation; they are kept [m, n]. A number for each row is added before, where there is one.
    Gelu {
        sums: &'a mut ViewMut<'b, T>,
        bias: Option<&'a View<'b, T>>,
    },
    /// The sums are multiplied with the slope of the same at what these kept, [m, n].
    GeluSlope(&'a View<'b, T>),
    /// Nothing; and the sums of op(B)'s columns go to this place, [n].
    SumsOfB(&'a mut ViewMut<'b, T>),
}

impl<T> Epilogue<'_, '_, T> {
    /// Its name, and where vector and matrix lie.
    fn parts(&mut self, stream: &Arc<CudaStream>, product: Product) -> (Kind, [u64; 2]) {
        let Product { m, n, stride, .. } = product;
        let (kind, vector, matrix, lens) = match self {
            Epilogue::Nothing => (Kind::CUBLASLT_EPILOGUE_DEFAULT, None, None, [0, 0]),
            Epilogue::Bias(bias) => {
                let at = bias.device_ptr(stream).0;
                (Kind::CUBLASLT_EPILOGUE_BIAS, Some((at, bias.len())), None, [m, 0])
            }
            Epilogue::Gelu { sums, bias } => {
                let len = sums.len();
                let matrix = Some((sums.device_ptr_mut(stream).0, len));
                match bias {
                    None => (Kind::CUBLASLT_EPILOGUE_GELU_AUX, None, matrix, [0, m * n]),
                    Some(bias) => {
                        let vector = Some((bias.device_ptr(stream).0, bias.len()));
                        (Kind::CUBLASLT_EPILOGUE_GELU_AUX_BIAS, vector, matrix, [m, m * n])
                    }
                }
            }
            Epilogue::GeluSlope(sums) => {
                let matrix = Some((sums.device_ptr(stream).0, sums.len()));
                (Kind::CUBLASLT_EPILOGUE_DGELU, None, matrix, [0, m * n])
            }
            Epilogue::SumsOfB(sums) => {
                let len = sums.len();
                let vector = Some((sums.device_ptr_mut(stream).0, len));
                (Kind::CUBLASLT_EPILOGUE_BGRADB, vector, None, [n, 0])
            }
        };
        let is_dense = stride == m || kind == Kind::CUBLASLT_EPILOGUE_DEFAULT;
        assert!(is_dense, "an epilogue of {product:?}");
        let [vector, matrix] = [vector.unwrap_or((0, 0)), matrix.unwrap_or((0, 0))];
        assert_eq!([vector.1, matrix.1], lens, "the operands of an epilogue of {product:?}");
        (kind, [vector.0, matrix.0])
    }
}

impl Products {
    /// What a bias and a matrix beside D have to begin at multiples of, in bytes: cuBLASLt is not told where they lie, and may
    /// load as much at a time.
    const EXTRA_ALIGNMENT: u32 = 16;

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
        let handle = result::create_handle().map_err(|error| Fault::Products { error })?;
        Ok(Self { handle, workspace, plans: Mutex::default() })
    }

    /// Puts a product into the stream. The operands are R; D and what it begins with are R or f32. False where cuBLASLt does not
    /// do this epilogue: then nothing was put there.
    #[expect(clippy::too_many_arguments, reason = "the operands of D = f(A·B + C)")]
    pub(crate) fn multiply<R: Real, C: Real>(
        &self,
        stream: &Arc<CudaStream>,
        d: &mut impl DevicePtrMut<C>,
        base: Base<impl DevicePtr<C>>,
        a: Operand<impl DevicePtr<R>>,
        b: Operand<impl DevicePtr<R>>,
        product: Product,
        mut epilogue: Epilogue<C>,
    ) -> Result<bool, Fault> {
        let Product { m, n, k, stride } = product;
        let span = product.span();
        assert!(d.len() >= span, "D has {} elements, {product:?} goes over {span}", d.len());
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
                assert!(
                    c.len() >= span,
                    "C has {} elements, {product:?} goes over {span}",
                    c.len()
                );
                let (c, used) = c.device_ptr(stream);
                (c, 1.0, Some(used))
            }
        };
        let (workspace, _workspace_used) = self.workspace.device_ptr(stream);
        let (epilogue, extras) = epilogue.parts(stream, product);
        let shape = PlanShape {
            m,
            n,
            k,
            a: a_strided,
            b: b_strided,
            stride,
            operands: kind::<R>(),
            result: kind::<C>(),
            alignments: [a, b, c, d].map(alignment),
            epilogue,
            extra_alignments: extras.map(alignment),
        };
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= Self::PLANS_MAX {
            plans.clear();
        }
        let plan = match plans.entry(shape) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) if !shape.extras_are_aligned() => place.insert(None),
            Entry::Vacant(place) => {
                let plan = Plan::new(self.handle, &shape, extras, self.workspace.len());
                place.insert(match plan {
                    Err((_, CublasError(status))) if shape.is_refused_by(status) => None,
                    plan => Some(plan.map_err(fault)?),
                })
            }
        };
        let Some(known) = plan.as_ref() else { return Ok(false) };
        let pointed = known.description.point(extras);
        pointed.map_err(|error| fault(("cublasLtMatmulDescSetAttribute", error)))?;
        let alpha = 1.0_f32;
        // SAFETY: the sizes were held against the memory above, and the workspace is used on this one stream only.
        let started = unsafe {
            result::matmul(
                self.handle,
                known.description.0,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                a as *const c_void,
                known.a.0,
                b as *const c_void,
                known.b.0,
                c as *const c_void,
                known.c.0,
                d as *mut c_void,
                known.c.0,
                &raw const known.algorithm,
                workspace as *mut c_void,
                self.workspace.len(),
                stream.cu_stream().cast(),
            )
        };
        match started {
            Err(CublasError(status)) if shape.is_refused_by(status) => {
                *plan = None;
                Ok(false)
            }
            started => started.map(|()| true).map_err(|error| fault(("cublasLtMatmul", error))),
        }
    }

    /// Products whose epilogue kernels do, each once, in a fixed order.
    pub(super) fn refused(&self) -> Vec<Refused> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = plans.iter().filter(|(_, plan)| plan.is_none());
        let mut refused: Vec<Refused> = refused.map(|(shape, _)| shape.into()).collect();
        refused.sort();
        refused.dedup();
        refused
    }
}

/// A product whose epilogue cuBLASLt does not do, so that kernels do it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// cuBLASLt's name for it.
    pub epilogue: &'static str,
    /// Rows of the result, in column-major terms.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// The stored number of the operands.
    pub real: &'static str,
    /// Whether it was not asked at all, as the epilogue's vector or matrix does not begin at 16 bytes.
    pub is_misaligned: bool,
}

impl From<&PlanShape> for Refused {
    fn from(shape: &PlanShape) -> Self {
        let &PlanShape { m, n, k, operands, .. } = shape;
        let epilogue = match shape.epilogue {
            Kind::CUBLASLT_EPILOGUE_BIAS => "BIAS",
            Kind::CUBLASLT_EPILOGUE_GELU_AUX => "GELU_AUX",
            Kind::CUBLASLT_EPILOGUE_GELU_AUX_BIAS => "GELU_AUX_BIAS",
            Kind::CUBLASLT_EPILOGUE_DGELU => "DGELU",
            Kind::CUBLASLT_EPILOGUE_BGRADB => "BGRADB",
            _ => "another",
        };
        let real = if operands == kind::<f32>() { f32::NAME } else { Bf16::NAME };
        Self { epilogue, m, n, k, real, is_misaligned: !shape.extras_are_aligned() }
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
    /// Of C and D.
    stride: usize,
    operands: sys::cudaDataType,
    result: sys::cudaDataType,
    /// What the addresses of A, B, C and D are multiples of: an algorithm that loads more at a time would leave its place.
    alignments: [u32; 4],
    epilogue: Kind,
    /// The same of the epilogue's vector and matrix.
    extra_alignments: [u32; 2],
}

impl PlanShape {
    /// Whether cuBLASLt can be told of the epilogue's vector and matrix.
    fn extras_are_aligned(&self) -> bool {
        self.extra_alignments.iter().all(|alignment| *alignment >= Products::EXTRA_ALIGNMENT)
    }

    /// Whether this answer says that there is no such epilogue; a product without one has to be possible.
    fn is_refused_by(&self, status: Status) -> bool {
        use Status::{CUBLAS_STATUS_INVALID_VALUE, CUBLAS_STATUS_NOT_SUPPORTED};
        matches!(status, CUBLAS_STATUS_NOT_SUPPORTED | CUBLAS_STATUS_INVALID_VALUE)
            && self.epilogue != Kind::CUBLASLT_EPILOGUE_DEFAULT
    }
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
        extras: [u64; 2],
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
        let c = Layout::new(shape.result, m, n, shape.stride).map_err(layout)?;
        let description = Description::new(a_transposed, b_transposed)
            .and_then(|description| description.with_epilogue(shape, extras))
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
            // CUBLAS_OP_N and CUBLAS_OP_T; SAFETY: the attribute is an i32.
            unsafe { description.set(attribute, &i32::from(transposed))? };
        }
        Ok(description)
    }

    /// The same with an epilogue.
    fn with_epilogue(self, shape: &PlanShape, extras: [u64; 2]) -> Result<Self, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t::{
            CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUBLASLT_MATMUL_DESC_EPILOGUE,
            CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD,
        };
        if shape.epilogue == Kind::CUBLASLT_EPILOGUE_DEFAULT {
            return Ok(self);
        }
        // SAFETY: the attribute is a u32.
        unsafe { self.set(CUBLASLT_MATMUL_DESC_EPILOGUE, &(shape.epilogue as u32))? };
        if extras[0] != 0 {
            // SAFETY: the attribute is a u32.
            unsafe { self.set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &(shape.result as u32))? };
        }
        if extras[1] != 0 {
            // SAFETY: the attribute is an i64.
            unsafe { self.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &(shape.m as i64))? };
        }
        self.point(extras)?;
        Ok(self)
    }

    /// Says where the epilogue's vector and matrix lie, as far as there are any.
    fn point(&self, extras: [u64; 2]) -> Result<(), CublasError> {
        use sys::cublasLtMatmulDescAttributes_t::{
            CUBLASLT_MATMUL_DESC_BIAS_POINTER, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER,
        };
        let attributes =
            [CUBLASLT_MATMUL_DESC_BIAS_POINTER, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER];
        for (attribute, address) in attributes.into_iter().zip(extras) {
            if address != 0 {
                // SAFETY: the attribute is a pointer, of eight bytes.
                unsafe { self.set(attribute, &address)? };
            }
        }
        Ok(())
    }

    /// # Safety
    /// The attribute is a T, copied during the call.
    unsafe fn set<T>(
        &self,
        attribute: sys::cublasLtMatmulDescAttributes_t,
        value: &T,
    ) -> Result<(), CublasError> {
        let (place, bytes) = (std::ptr::from_ref(value).cast(), size_of_val(value));
        // SAFETY: the caller's promise.
        unsafe { result::set_matmul_desc_attribute(self.0, attribute, place, bytes) }
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
