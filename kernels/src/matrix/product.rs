//! A product on one thread, in blocks that stay in the caches.
//!
//! The inner dimension is cut into stretches. Of one stretch, a block of b's columns is packed into panels and stays in the
//! second-level cache while strips of a's rows, which stay in the first-level one, pass over it; what the inner loops can
//! read in place is not packed. An element's sum runs over the stretches in their order, whatever part of the product is
//! computed: how it is cut into tiles leaves no trace. Packed operands lie in scratch.

use super::microkernel::{self, Microkernels, Panels};
use super::pack::{pack, packed_len};
use super::view::{Matrix, MatrixMut};
use crate::blocks::add;
use crate::vector::{STRETCH, dot, vectorised};
use crate::{Write, scratch};
use gemm_common::cache::CACHE_INFO;
use pulp::Arch;
use std::ops::Range;

/// The longest stretch of the inner dimension: a strip of 6 rows takes 12 KiB of the first-level cache.
const DEPTH_MAX: usize = 512;
/// Elements of a block of packed rows of a: 2 MiB, which any last-level cache holds.
const ROWS_BLOCK: usize = 512 * 1024;
/// Strips of a that must pass over columns of b before packing these pays.
const REUSE_MIN: usize = 8;
/// Rows of c whose sums need no panels: these would be read once.
const FEW_ROWS: usize = 4;

/// c = scale·a·b, or c += scale·a·b.
pub(super) fn product(c: MatrixMut, a: Matrix, b: Matrix, scale: f32, write: Write) {
    if a.columns == 0 {
        return nothing(c, write);
    }
    if c.rows < FEW_ROWS {
        return match b.row_stride {
            1 => dots(c, a, b, scale, write),
            _ => sums_of_rows(c, a, b, scale, write),
        };
    }
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => blocks(&microkernel::AVX512, c, a, b, scale, write),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(_) => blocks(&microkernel::AVX2, c, a, b, scale, write),
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(_) => blocks(&microkernel::NEON, c, a, b, scale, write),
        _ => blocks(&microkernel::SCALAR, c, a, b, scale, write),
    }
}

/// A sum over nothing.
fn nothing(mut c: MatrixMut, write: Write) {
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
        for i in 0..c.rows {
            for stretch in parts(b.rows, STRETCH) {
                vectorised(
                    #[inline(always)]
                    || {
                        sum.fill(0.0);
                        for p in stretch {
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
    scratch::with(a.columns, |row| {
        for i in 0..c.rows {
            (0..a.columns).for_each(|p| row[p] = a.at(i, p));
            vectorised(
                #[inline(always)]
                || {
                    for (j, c) in c.row(i).iter_mut().enumerate() {
                        let product = scale * long_dot(row, columns.row(j));
                        match write {
                            Write::Overwrite => *c = product,
                            Write::Accumulate => *c += product,
                        }
                    }
                },
            );
        }
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

fn blocks<const ROWS: usize, const WIDTH: usize>(
    kernels: &Microkernels<ROWS, WIDTH>,
    mut c: MatrixMut,
    a: Matrix,
    b: Matrix,
    scale: f32,
    write: Write,
) {
    let inner = a.columns;
    let depth = inner.div_ceil(inner.div_ceil(DEPTH_MAX));
    let packs_a = a.column_stride != 1 && c.columns > 2 * WIDTH;
    let packs_b = b.column_stride != 1 || !kernels.divide(c.columns) || c.rows > REUSE_MIN * ROWS;
    let n_rows = if packs_a { block_of::<ROWS>(c.rows, ROWS_BLOCK / depth) } else { c.rows };
    let n_columns = block_of::<WIDTH>(c.columns, columns_block() / depth);
    let packed = [
        if packs_a { packed_len(depth, n_rows, ROWS) } else { 0 },
        if packs_b { packed_len(depth, n_columns, WIDTH) } else { 0 },
    ];
    scratch::with_parts(packed, |[strips, panels]| {
        for stretch in parts(inner, depth) {
            let write = if stretch.start == 0 { write } else { Write::Accumulate };
            let (a, b) = (a.columns(stretch.clone()), b.rows(stretch));
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
                    for strip in parts(rows.len(), ROWS) {
                        let c = c.tile(within(&rows, &strip), columns.clone());
                        let a = match packs_a {
                            true => packed_strip::<ROWS>(strips, a.columns, strip.start),
                            false => a.rows(strip),
                        };
                        kernels.multiply(c, a, b, scale, write);
                    }
                }
            }
        }
    });
}

/// Elements of a block of packed columns of b: half of the second-level cache.
fn columns_block() -> usize {
    CACHE_INFO[1].cache_bytes / 2 / size_of::<f32>()
}

/// How many of `len` columns or rows are a block, in whole panels: blocks of nearly equal size, of at most `most` where
/// that is a panel or more.
fn block_of<const WIDTH: usize>(len: usize, most: usize) -> usize {
    let n_panels = len.div_ceil(WIDTH);
    let n_blocks = n_panels.div_ceil((most / WIDTH).max(1));
    n_panels.div_ceil(n_blocks) * WIDTH
}

/// 0..len in parts of `n`, of which the last may be shorter.
fn parts(len: usize, n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(n.max(1)).map(move |start| start..len.min(start + n))
}

/// A part of a part, counted from where the whole begins.
fn within(outer: &Range<usize>, inner: &Range<usize>) -> Range<usize> {
    outer.start + inner.start..outer.start + inner.end
}

/// The strip that begins with row `first`: \[ROWS, depth\].
fn packed_strip<const ROWS: usize>(strips: &[f32], depth: usize, first: usize) -> Matrix<'_> {
    Matrix::new(&strips[first * depth..], depth, ROWS).transposed()
}
