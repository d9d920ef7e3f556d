//! The innermost loop of a product, whose sums stay in registers: `gemm`'s, one for each instruction set and extent.
//!
//! An element's sum over the inner dimension is a chain of multiplications and additions in its order, which all sets but
//! the plain one fuse; it is scaled and then written or added. Which kernel of a set computes it leaves no trace. Nothing
//! here knows of caches.

use super::view::{Matrix, MatrixMut};
use crate::Write;
use gemm_common::microkernel::MicroKernelFn;
use gemm_f32::microkernel;

/// The kernels of one instruction set, which this machine has, for products of at most `ROWS` rows and `WIDTH` columns.
pub(super) struct Microkernels<const ROWS: usize, const WIDTH: usize> {
    /// Elements of a vector.
    lanes: usize,
    /// The kernel for v vectors and r rows at \[v − 1\]\[r − 1\].
    by_extent: &'static [[MicroKernelFn<f32>; ROWS]],
}

// Whoever holds a token of `pulp` has found the instruction set.

#[cfg(target_arch = "x86_64")]
pub(super) fn avx512(_: pulp::x86::V4) -> &'static Microkernels<6, 64> {
    &Microkernels { lanes: 16, by_extent: &microkernel::avx512f::f32::UKR }
}

#[cfg(target_arch = "x86_64")]
pub(super) fn avx2(_: pulp::x86::V3) -> &'static Microkernels<6, 16> {
    &Microkernels { lanes: 8, by_extent: &microkernel::fma::f32::UKR }
}

#[cfg(target_arch = "aarch64")]
pub(super) fn neon(_: pulp::aarch64::Neon) -> &'static Microkernels<4, 16> {
    &Microkernels { lanes: 4, by_extent: &microkernel::neon::f32::UKR }
}

pub(super) fn scalar() -> &'static Microkernels<4, 2> {
    &Microkernels { lanes: 1, by_extent: &microkernel::scalar::f32::UKR }
}

impl<const ROWS: usize, const WIDTH: usize> Microkernels<ROWS, WIDTH> {
    /// Whether rows of `columns` elements are.
    pub(super) fn are_whole_vectors(&self, columns: usize) -> bool {
        columns.is_multiple_of(self.lanes)
    }

    /// c = scale·a·b, or c += scale·a·b, for a strip of rows. `a` may have more rows than c.
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
        assert!(b.is_packed || self.are_whole_vectors(c.columns), "{} columns in place", c.columns);
        // Only a sum that is added to reads what is there.
        let adds = u8::from(write == Write::Accumulate);
        for (i, first) in (0..c.columns).step_by(WIDTH).enumerate() {
            let width = WIDTH.min(c.columns - first);
            let kernel = self.by_extent[width.div_ceil(self.lanes) - 1][c.rows - 1];
            // SAFETY: the machine has the instruction set, because these kernels were had for a token of it. The kernel
            // writes `c.rows` rows and `width` columns of `c`, which may by its invariant; it reads as many rows of `a`, by
            // its invariant, and whole vectors of all rows of the panel, by that of `Panels`: in place there are no
            // others. No one writes to them meanwhile, because they are borrowed. A stride beyond isize is that of a single
            // row and is not used.
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
