//! A product on one thread, in blocks that stay in the caches.
//!
//! The inner dimension is cut into slabs. Of one slab, a block of b's columns is packed into panels and stays in the
//! second-level cache while strips of a's rows, which stay in the first-level one, pass over it; what the inner loops can
//! read in place is not packed. An element's sum runs over the slabs in their order, whatever part of the product it is
//! computed with, unless that part has [`FEW_ROWS`] or less. Packed operands lie in scratch.

use super::microkernel::{self, Microkernels, Panels};
use super::pack::{pack, packed_len};
use super::view::{Matrix, MatrixMut};
use crate::blocks::add;
use crate::vector::{STRETCH, dot, vectorised};
use crate::{Write, scratch};
use gemm_common::cache::CACHE_INFO;
use pulp::Arch;
use std::ops::Range;

/// The deepest slab: a strip of 6 rows takes 12 KiB of the first-level cache.
const DEPTH_MAX: usize = 512;
/// Elements of a block of packed rows of a: 2 MiB of the last-level cache for each thread.
const ROWS_BLOCK: usize = 512 * 1024;
/// Strips of a that must pass over columns of b before packing these pays.
const REUSE_MIN: usize = 8;
/// Rows of c whose sums need no panels: these would be read once or twice.
pub(super) const FEW_ROWS: usize = 3;

/// c = scale·a·b, or c += scale·a·b.
pub(super) fn compute(c: MatrixMut, a: Matrix, b: Matrix, scale: f32, write: Write) {
    if a.columns == 0 {
        return empty_sums(c, write);
    }
    if c.rows <= FEW_ROWS {
        return match b.row_stride {
            1 => dots(c, a, b, scale, write),
            _ => sums_of_rows(c, a, b, scale, write),
        };
    }
    let block =
        Block { columns: CACHE_INFO[1].cache_bytes / 2 / size_of::<f32>(), rows: ROWS_BLOCK };
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(simd) => blocks(microkernel::avx512(simd), block, c, a, b, scale, write),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => blocks(microkernel::avx2(simd), block, c, a, b, scale, write),
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(simd) => blocks(microkernel::neon(simd), block, c, a, b, scale, write),
        _ => blocks(microkernel::scalar(), block, c, a, b, scale, write),
    }
}

fn empty_sums(mut c: MatrixMut, write: Write) {
    if write == Write::Overwrite {
        (0..c.rows).for_each(|row| c.row(row).fill(0.0));
    }
}

/// Every row of c as a sum of rows of b, which are dense.
fn sums_of_rows(mut c: MatrixMut, a: Matrix, b: Matrix, scale: f32, write: Write) {
    if write == Write::Overwrite {
        (0..c.rows).for_each(|row| c.row(row).fill(0.0));
    }
    scratch::with(c.columns, |sum| {
        for stretch in parts(b.rows, STRETCH) {
            for i in 0..c.rows {
                vectorised(
                    #[inline(always)]
                    || {
                        sum.fill(0.0);
                        for p in stretch.clone() {
                            let factor = scale * a.at(i, p);
                            for (sum, b) in sum.iter_mut().zip(b.row(p)) {
                                *sum += factor * b;
                            }
                        }
                        add(c.row(i), sum);
                    },
                );
            }
        }
    });
}

/// Every element of c as a product of a row of a and a column of b, which is dense.
fn dots(mut c: MatrixMut, a: Matrix, b: Matrix, scale: f32, write: Write) {
    let columns = b.transposed();
    let inner = a.columns;
    scratch::with(a.rows * inner, |rows| {
        for (i, row) in rows.chunks_exact_mut(inner).enumerate() {
            row.iter_mut().enumerate().for_each(|(p, element)| *element = a.at(i, p));
        }
        vectorised(
            #[inline(always)]
            || {
                for j in 0..c.columns {
                    for (i, row) in rows.chunks_exact(inner).enumerate() {
                        let product = scale * long_dot(row, columns.row(j));
                        let c = &mut c.row(i)[j];
                        match write {
                            Write::Overwrite => *c = product,
                            Write::Accumulate => *c += product,
                        }
                    }
                }
            },
        );
    });
}

/// Σ aᵢ·bᵢ of any number of terms.
#[inline(always)]
fn long_dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sum = 0.0;
    for (a, b) in a.chunks(STRETCH).zip(b.chunks(STRETCH)) {
        sum += f64::from(dot(a, b));
    }
    sum as f32
}

/// Elements that are packed at a time.
#[derive(Clone, Copy)]
struct Block {
    columns: usize,
    rows: usize,
}

fn blocks<const ROWS: usize, const WIDTH: usize>(
    kernels: &Microkernels<ROWS, WIDTH>,
    block: Block,
    mut c: MatrixMut,
    a: Matrix,
    b: Matrix,
    scale: f32,
    write: Write,
) {
    let inner = a.columns;
    let depth = inner.div_ceil(inner.div_ceil(DEPTH_MAX));
    let packs_a = a.column_stride != 1 && c.columns > 2 * WIDTH;
    let packs_b =
        b.column_stride != 1 || !kernels.are_whole_vectors(c.columns) || c.rows > REUSE_MIN * ROWS;
    let n_rows = if packs_a { even::<ROWS>(c.rows, block.rows / depth) } else { c.rows };
    let n_columns = even::<WIDTH>(c.columns, block.columns / depth);
    let packed = [
        if packs_a { packed_len(depth, n_rows, ROWS) } else { 0 },
        if packs_b { packed_len(depth, n_columns, WIDTH) } else { 0 },
    ];
    scratch::with_parts(packed, |[strips, panels]| {
        for slab in parts(inner, depth) {
            let write = if slab.start == 0 { write } else { Write::Accumulate };
            let (a, b) = (a.columns(slab.clone()), b.rows(slab));
            for rows in parts(c.rows, n_rows) {
                let a = a.rows(rows.clone());
                if packs_a {
                    pack::<ROWS>(strips, a.transposed());
                }
                for columns in parts(c.columns, n_columns) {
                    let b = b.columns(columns.clone());
                    let b = match packs_b {
                        true => {
                            pack::<WIDTH>(panels, b);
                            Panels::packed(panels, b.rows, b.columns)
                        }
                        false => Panels::in_place(b),
                    };
                    let mut c = c.tile(rows.clone(), columns);
                    for strip in parts(rows.len(), ROWS) {
                        let a = match packs_a {
                            true => packed_strip::<ROWS>(strips, a.columns, strip.start),
                            false => a.rows(strip.clone()),
                        };
                        kernels.multiply(c.rows(strip), a, b, scale, write);
                    }
                }
            }
        }
    });
}

/// How many of `len` columns or rows are a block, in whole panels: blocks of nearly equal size, of at most `most` where
/// that is a panel or more.
fn even<const WIDTH: usize>(len: usize, most: usize) -> usize {
    let n_panels = len.div_ceil(WIDTH).max(1);
    let n_blocks = n_panels.div_ceil((most / WIDTH).max(1));
    n_panels.div_ceil(n_blocks) * WIDTH
}

/// 0..len in parts of `n`, of which the last may be shorter.
fn parts(len: usize, n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(n.max(1)).map(move |start| start..len.min(start + n))
}

/// The strip that begins with row `first`: \[ROWS, depth\].
fn packed_strip<const ROWS: usize>(strips: &[f32], depth: usize, first: usize) -> Matrix<'_> {
    Matrix::new(&strips[first * depth..], depth, ROWS).transposed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    /// Element (i, j) of a product in double precision.
    fn expected(a: Matrix, b: Matrix, [i, j]: [usize; 2]) -> f64 {
        (0..a.columns).map(|p| f64::from(a.at(i, p)) * f64::from(b.at(p, j))).sum()
    }

    /// Runs `product` on both orders of both factors, with either write, and holds every element against double precision.
    fn check(
        [rows, inner, columns]: [usize; 3],
        product: &dyn Fn(MatrixMut, Matrix, Matrix, f32, Write),
    ) {
        let (a_stride, b_stride, c_stride) =
            (rows.max(inner) + 3, inner.max(columns) + 5, columns + 2);
        let data = [random(a_stride * a_stride, 1), random(b_stride * b_stride, 2)];
        let a = [
            Matrix::strided(&data[0], rows, inner, a_stride),
            Matrix::strided(&data[0], inner, rows, a_stride).transposed(),
        ];
        let b = [
            Matrix::strided(&data[1], inner, columns, b_stride),
            Matrix::strided(&data[1], columns, inner, b_stride).transposed(),
        ];
        let former = random(rows * c_stride, 3);
        let bound = 3e-7 * (1.0 + 4.0 * (inner as f64).sqrt());
        for (a, b) in [(a[0], b[0]), (a[0], b[1]), (a[1], b[0]), (a[1], b[1])] {
            for write in [Write::Overwrite, Write::Accumulate] {
                let mut c = former.clone();
                product(MatrixMut::strided(&mut c, rows, columns, c_stride), a, b, 0.5, write);
                for (k, (&got, &former)) in c.iter().zip(&former).enumerate() {
                    let (i, j) = (k / c_stride, k % c_stride);
                    if j >= columns {
                        assert_eq!(got, former, "beside the product");
                        continue;
                    }
                    let kept = if write == Write::Accumulate { f64::from(former) } else { 0.0 };
                    let error = f64::from(got) - kept - 0.5 * expected(a, b, [i, j]);
                    assert!(
                        error.abs() <= bound,
                        "{rows} {inner} {columns} at {i}, {j}: {error:e}"
                    );
                }
            }
        }
    }

    /// Rows around few and around strips; inner dimensions around slabs; columns around vectors and panels.
    fn shapes() -> Vec<[usize; 3]> {
        let mut shapes = vec![[5, 0, 3], [0, 4, 3], [4, 3, 0], [9, 1100, 130], [70, 40, 150]];
        for rows in [1, 2, 3, 4, 6, 7, 50] {
            for inner in [1, 2, 7, 33, 513] {
                shapes.extend([1, 2, 15, 16, 17, 63, 64, 66, 130].map(|n| [rows, inner, n]));
            }
        }
        shapes
    }

    #[test]
    fn products_agree_with_double_precision_and_touch_nothing_else() {
        // What scratch holds must not matter.
        scratch::with(1 << 20, |buffer| buffer.fill(f32::NAN));
        for shape in shapes() {
            check(shape, &compute);
        }
    }

    /// Those of better machines than this one are left out.
    #[test]
    fn every_instruction_set_agrees_in_whole_blocks_and_in_small_ones() {
        for block in [Block { columns: 4096, rows: 4096 }, Block { columns: 1, rows: 1 }] {
            for shape @ [_, inner, _] in shapes() {
                if inner == 0 {
                    continue;
                }
                check(shape, &|c, a, b, scale, write| {
                    blocks(microkernel::scalar(), block, c, a, b, scale, write);
                });
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V3::try_new() {
                    check(shape, &|c, a, b, scale, write| {
                        blocks(microkernel::avx2(simd), block, c, a, b, scale, write);
                    });
                }
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V4::try_new() {
                    check(shape, &|c, a, b, scale, write| {
                        blocks(microkernel::avx512(simd), block, c, a, b, scale, write);
                    });
                }
                #[cfg(target_arch = "aarch64")]
                if let Some(simd) = pulp::aarch64::Neon::try_new() {
                    check(shape, &|c, a, b, scale, write| {
                        blocks(microkernel::neon(simd), block, c, a, b, scale, write);
                    });
                }
            }
        }
    }
}
