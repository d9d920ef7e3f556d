//! Strided views of flat slices, and the one call into `gemm`.
//!
//! A view knows its rows, columns and strides and is checked against its slice when it is made, so that
//! [`multiply`] is safe for its callers. It runs on the calling thread; [`multiply_in_tiles`] cuts a product
//! into tiles of a size that depends on the shape alone and runs them in parallel. Views hold no data.

use crate::Write;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// A matrix inside a slice: element (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` consecutive rows of `columns` elements.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows of `columns` elements that begin `row_stride` apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        check_extent(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn rows(self, range: Range<usize>) -> Self {
        assert!(range.end <= self.rows, "rows {range:?} of {}", self.rows);
        let first = (range.start * self.row_stride).min(self.data.len());
        Self { data: &self.data[first..], rows: range.len(), ..self }
    }

    fn columns(self, range: Range<usize>) -> Self {
        self.transposed().rows(range).transposed()
    }
}

/// A writable matrix inside a slice, rows of `columns` elements that begin `row_stride` apart.
///
/// Invariant: `data` is valid for reads and writes, for as long as `'a`, at every offset
/// i·row_stride + j with i < rows and j < columns, and no one else uses these elements meanwhile.
pub(crate) struct MatrixMut<'a> {
    data: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: by its invariant the view is the only user of its elements, as `&mut [f32]` would be.
unsafe impl Send for MatrixMut<'_> {}

impl<'a> MatrixMut<'a> {
    /// `rows` consecutive rows of `columns` elements.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        check_extent(data.len(), rows, columns, columns);
        Self { data: data.as_mut_ptr(), rows, columns, row_stride: columns, borrowed: PhantomData }
    }

    /// Cuts the matrix into tiles; those in the last row and column of tiles may be smaller.
    fn tiles(self, tile_rows: usize, tile_columns: usize) -> Vec<Tile<'a>> {
        let mut tiles = Vec::new();
        for first_row in (0..self.rows).step_by(tile_rows) {
            for first_column in (0..self.columns).step_by(tile_columns) {
                let rows = first_row..self.rows.min(first_row + tile_rows);
                let columns = first_column..self.columns.min(first_column + tile_columns);
                // SAFETY: first_row < rows and first_column < columns, so the offset is that of an element.
                let data = unsafe { self.data.add(first_row * self.row_stride + first_column) };
                // The invariant holds for the tile because its elements are a subset of this view's, which is
                // consumed, and the subsets of different tiles are disjoint.
                let matrix = MatrixMut { data, rows: rows.len(), columns: columns.len(), ..self };
                tiles.push(Tile { rows, columns, matrix });
            }
        }
        tiles
    }
}

/// A part of a writable matrix, and where it lies.
struct Tile<'a> {
    rows: Range<usize>,
    columns: Range<usize>,
    matrix: MatrixMut<'a>,
}

fn check_extent(len: usize, rows: usize, columns: usize, row_stride: usize) {
    let extent = match (rows, columns) {
        (0, _) | (_, 0) => 0,
        _ => (rows - 1) * row_stride + columns,
    };
    assert!(
        extent <= len,
        "a matrix of {rows} × {columns} at a stride of {row_stride} needs {extent} elements, got {len}"
    );
}

/// c = scale·a·b, or c += scale·a·b, on the calling thread.
pub(crate) fn multiply(c: MatrixMut, a: Matrix, b: Matrix, scale: f32, write: Write) {
    check_product(&c, a, b);
    // SAFETY: `c` may write its elements by its invariant and shares none with `a` and `b`, which are borrowed at
    // the same time; `a` and `b` were checked against their slices when they were made, and their parts lie
    // inside them. So every element that `gemm` touches by these sizes and strides may be touched. Strides fit
    // isize because slices do.
    unsafe {
        gemm::gemm(
            c.rows,
            c.columns,
            a.columns,
            c.data,
            1,
            c.row_stride as isize,
            write == Write::Accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

fn check_product(c: &MatrixMut, a: Matrix, b: Matrix) {
    assert_eq!(c.rows, a.rows, "rows of the product and of its left factor differ");
    assert_eq!(c.columns, b.columns, "columns of the product and of its right factor differ");
    assert_eq!(a.columns, b.rows, "inner dimensions differ");
}

/// c = a·b, or c += a·b, in parallel over tiles of c.
pub(crate) fn multiply_in_tiles(c: MatrixMut, a: Matrix, b: Matrix, write: Write) {
    check_product(&c, a, b);
    let (rows, columns) = tile_size(c.rows, c.columns, a.columns);
    c.tiles(rows, columns).into_par_iter().for_each(|tile| {
        multiply(tile.matrix, a.rows(tile.rows), b.columns(tile.columns), 1.0, write);
    });
}

/// Rows and columns of the tiles of a product with `inner` terms per element.
///
/// `gemm` repacks its operands for every call, so tiles are as large as the caches like them, 512 × 256; a product
/// of fewer tiles than cores is cut further where that costs less than it wins. Only the shape decides, so that
/// the bytes are the same on any machine's number of threads.
fn tile_size(rows: usize, columns: usize, inner: usize) -> (usize, usize) {
    const ROWS_MAX: usize = 512;
    const COLUMNS_MAX: usize = 256;
    let multiplications = rows * columns * inner;
    let tiles_wanted = match multiplications {
        0..4_000_000 => 1,
        4_000_000..64_000_000 => 2,
        _ => 4,
    };
    let mut row_tiles = rows.div_ceil(ROWS_MAX).max(1);
    let mut column_tiles = columns.div_ceil(COLUMNS_MAX).max(1);
    while row_tiles * column_tiles < tiles_wanted {
        if rows / row_tiles >= columns / column_tiles {
            row_tiles *= 2;
        } else {
            column_tiles *= 2;
        }
    }
    // An even number of equal tiles keeps an even number of threads busy to the end.
    if row_tiles > 1 {
        row_tiles = row_tiles.next_multiple_of(2);
    }
    let side = |length: usize, tiles: usize| length.div_ceil(tiles).next_multiple_of(16).max(16);
    (side(rows, row_tiles), side(columns, column_tiles))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_element_once() {
        for (rows, columns) in [(1, 1), (5, 7), (32, 48), (33, 17)] {
            let mut data = vec![0.0; rows * columns];
            let tiles = MatrixMut::new(&mut data, rows, columns).tiles(16, 16);
            for tile in tiles {
                let (m, n) = (tile.rows.len(), tile.columns.len());
                let ones = vec![1.0; m.max(n)];
                multiply(
                    tile.matrix,
                    Matrix::new(&ones, m, 1),
                    Matrix::new(&ones, 1, n),
                    1.0,
                    Write::Accumulate,
                );
            }
            assert!(data.iter().all(|&x| x == 1.0), "{rows} × {columns}");
        }
    }

    #[test]
    fn a_view_beyond_its_slice_is_refused() {
        let data = [0.0; 11];
        Matrix::strided(&data, 3, 3, 4);
        let beyond = std::panic::catch_unwind(|| Matrix::strided(&data, 3, 4, 4).rows);
        assert!(beyond.is_err());
    }
}
