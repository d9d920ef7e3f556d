//! The innermost loop of a product, whose sums stay in registers: `gemm`'s, one for each instruction set and extent.
//!
//! An element's sum is a chain of fused multiplications and additions in the order of the inner dimension, then one
//! multiplication by the scale; which kernel computes it leaves no trace. Nothing here knows of caches.

use super::view::{Matrix, MatrixMut};
use crate::Write;
use gemm_common::microkernel::MicroKernelFn;
use gemm_f32::microkernel;

/// The kernels of one instruction set, for products of at most `ROWS` rows and `WIDTH` columns.
pub(super) struct Microkernels<const ROWS: usize, const WIDTH: usize> {
    /// Elements of a vector.
    lanes: usize,
    /// The kernel for v vectors and r rows at \[v − 1\]\[r − 1\].
    by_extent: &'static [[MicroKernelFn<f32>; ROWS]],
}

#[cfg(target_arch = "x86_64")]
pub(super) static AVX512: Microkernels<6, 64> =
    Microkernels { lanes: 16, by_extent: &microkernel::avx512f::f32::UKR };
#[cfg(target_arch = "x86_64")]
pub(super) static AVX2: Microkernels<6, 16> =
    Microkernels { lanes: 8, by_extent: &microkernel::fma::f32::UKR };
#[cfg(target_arch = "aarch64")]
pub(super) static NEON: Microkernels<4, 16> =
    Microkernels { lanes: 4, by_extent: &microkernel::neon::f32::UKR };
pub(super) static SCALAR: Microkernels<4, 2> =
    Microkernels { lanes: 1, by_extent: &microkernel::scalar::f32::UKR };

impl<const ROWS: usize, const WIDTH: usize> Microkernels<ROWS, WIDTH> {
    /// Whether rows of `columns` elements are whole vectors.
    pub(super) fn divide(&self, columns: usize) -> bool {
        columns.is_multiple_of(self.lanes)
    }

    /// c = scale·a·b, or c += scale·a·b, for a strip of rows. `a` may have more rows than c. The instruction set must be
    /// there, as it is for whoever got it of `pulp::Arch`.
    #[inline(always)]
    pub(super) fn multiply(
        &self,
        c: MatrixMut,
        a: Matrix,
        b: Panels<WIDTH>,
        scale: f32,
        write: Write,
    ) {
        assert!((1..=ROWS).contains(&c.rows) && c.rows <= a.rows, "{} rows", c.rows);
        assert!(a.columns == b.depth && c.columns <= b.columns, "extents differ");
        assert!(b.is_packed || self.divide(c.columns), "{} columns in place", c.columns);
        // Only a sum that is added to reads what is there.
        let adds = u8::from(write == Write::Accumulate);
        for (i, first) in (0..c.columns).step_by(WIDTH).enumerate() {
            let width = WIDTH.min(c.columns - first);
            let kernel = self.by_extent[width.div_ceil(self.lanes) - 1][c.rows - 1];
            // SAFETY: the kernel writes `c.rows` rows and `width` columns of `c`, which may by its invariant; it reads as
            // many rows of `a`, and of the panel, by its invariant, whole vectors of all rows: in place there are no
            // others. No one writes to them meanwhile, because they are borrowed. Strides fit isize because slices do.
            unsafe {
                kernel(
                    width,
                    c.rows,
                    a.columns,
                    c.data.add(first),
                    b.data.as_ptr().add(i * b.panel_stride),
                    a.data.as_ptr(),
                    c.row_stride as isize,
                    1,
                    b.row_stride as isize,
                    a.column_stride as isize,
                    a.row_stride as isize,
                    1.0,
                    scale,
                    adds,
                    false,
                    false,
                    false,
                    std::ptr::null(),
                );
            }
        }
    }
}

/// The right factor of a product, in panels of `WIDTH` columns: packed, or in place.
///
/// Invariant: `data` holds, for each of the panels of `columns` columns, `depth` rows of `WIDTH` elements, or in place of as
/// many as there are.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a, const WIDTH: usize> {
    data: &'a [f32],
    depth: usize,
    columns: usize,
    row_stride: usize,
    panel_stride: usize,
    is_packed: bool,
}

impl<'a, const WIDTH: usize> Panels<'a, WIDTH> {
    /// Those that [`pack`](super::pack::pack) makes of `depth` rows and `columns` columns.
    pub(super) fn packed(data: &'a [f32], depth: usize, columns: usize) -> Self {
        let panel_stride = depth * WIDTH;
        assert!(
            columns.div_ceil(WIDTH) * panel_stride <= data.len(),
            "panels of {columns} columns"
        );
        Self { data, depth, columns, row_stride: WIDTH, panel_stride, is_packed: true }
    }

    /// The columns of a matrix whose rows are dense.
    pub(super) fn in_place(matrix: Matrix<'a>) -> Self {
        let Matrix { data, rows: depth, columns, row_stride, column_stride } = matrix;
        assert_eq!(column_stride, 1, "rows are not dense");
        Self { data, depth, columns, row_stride, panel_stride: WIDTH, is_packed: false }
    }
}
