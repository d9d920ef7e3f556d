//! Strided views of flat slices, and the one call into `gemm`.
//!
//! A view knows its rows, columns and strides and is checked against its slice when it is made, so that
//! [`multiply`] is safe for its callers. It runs on the calling thread; [`multiply_in_tiles`] cuts a product
//! into one tile per thread, which leaves every element's sum as it is, and runs them in parallel. Views hold no data.

use crate::Write;
use gemm_common::Parallelism;
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

    /// Rows of `columns` elements that begin `row_stride` apart.
    pub(crate) fn strided(
        data: &'a mut [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        check_extent(data.len(), rows, columns, row_stride);
        let data = data.as_mut_ptr();
        Self { data, rows, columns, row_stride, borrowed: PhantomData }
    }

    /// Some of the rows, for a while.
    pub(crate) fn rows(&mut self, range: Range<usize>) -> MatrixMut<'_> {
        assert!(
            range.start <= range.end && range.end <= self.rows,
            "rows {range:?} of {}",
            self.rows
        );
        let rows = range.len();
        let offset = if rows == 0 { 0 } else { range.start * self.row_stride };
        // SAFETY: the offset is that of a row of the matrix or none. The invariant holds because the view's elements
        // are a subset of this one's, which is borrowed meanwhile.
        let data = unsafe { self.data.add(offset) };
        MatrixMut { data, rows, borrowed: PhantomData, ..*self }
    }

    pub(crate) fn row(&mut self, index: usize) -> &mut [f32] {
        let columns = self.columns;
        let row = self.rows(index..index + 1);
        // SAFETY: by the invariant these elements are valid and no one else's; they follow each other.
        unsafe { std::slice::from_raw_parts_mut(row.data, columns) }
    }

    /// Cuts the matrix into matrices of `width` columns.
    pub(crate) fn split_columns(self, width: usize) -> impl Iterator<Item = Self> {
        assert!(self.columns.is_multiple_of(width), "{} columns by {width}", self.columns);
        (0..self.columns / width).map(move |i| {
            let offset = if self.rows == 0 { 0 } else { i * width };
            // SAFETY: the offset is that of an element of the first row or none. The invariant holds because this view
            // is consumed and the parts share no element.
            let data = unsafe { self.data.add(offset) };
            MatrixMut { data, columns: width, borrowed: PhantomData, ..self }
        })
    }

    /// The first rows, and the others.
    fn split_at_row(self, row: usize) -> [Self; 2] {
        assert!(row <= self.rows, "row {row} of {}", self.rows);
        // SAFETY: the offset is that of a row of the matrix, or past the last element of a matrix without further rows,
        // where it is none. The invariant holds because this view is consumed and the parts share no element.
        let data =
            unsafe { self.data.add(if row == self.rows { 0 } else { row * self.row_stride }) };
        [Self { rows: row, ..self }, Self { data, rows: self.rows - row, ..self }]
    }

    /// The first columns, and the others.
    pub(crate) fn split_at_column(self, column: usize) -> [Self; 2] {
        assert!(column <= self.columns, "column {column} of {}", self.columns);
        // SAFETY: the offset is that of an element of the first row or none. The invariant holds because this view is
        // consumed and the parts share no element.
        let data = unsafe { self.data.add(if self.rows == 0 { 0 } else { column }) };
        [Self { columns: column, ..self }, Self { data, columns: self.columns - column, ..self }]
    }
}

/// Where `length` is cut into `n` parts: at multiples of `step`, the last part takes the rest.
#[derive(Clone, Copy)]
struct Cuts {
    length: usize,
    n: usize,
    step: usize,
}

impl Cuts {
    fn at(self, index: usize) -> usize {
        match index == self.n {
            true => self.length,
            false => self.length / self.n / self.step * self.step * index,
        }
    }
}

/// A part of a writable matrix between two cuts of its rows and two of its columns.
struct Tiles<'a> {
    matrix: MatrixMut<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'a> Tiles<'a> {
    /// Hands each tile to `work` with the rows and the columns that it covers, in parallel halves. Empty ones are left out.
    fn for_each(self, cuts: [Cuts; 2], work: &(impl Fn(MatrixMut, [Range<usize>; 2]) + Sync)) {
        let Self { matrix, rows, columns } = self;
        let extent = |cuts: Cuts, range: &Range<usize>| cuts.at(range.start)..cuts.at(range.end);
        let covered = [extent(cuts[0], &rows), extent(cuts[1], &columns)];
        let [upper, lower] = if rows.len() > 1 {
            let middle = rows.start + rows.len() / 2;
            let halves = matrix.split_at_row(cuts[0].at(middle) - covered[0].start);
            let [upper, lower] = halves;
            [
                Tiles { matrix: upper, rows: rows.start..middle, columns: columns.clone() },
                Tiles { matrix: lower, rows: middle..rows.end, columns },
            ]
        } else if columns.len() > 1 {
            let middle = columns.start + columns.len() / 2;
            let halves = matrix.split_at_column(cuts[1].at(middle) - covered[1].start);
            let [left, right] = halves;
            [
                Tiles { matrix: left, rows: rows.clone(), columns: columns.start..middle },
                Tiles { matrix: right, rows, columns: middle..columns.end },
            ]
        } else {
            if covered.iter().all(|range| !range.is_empty()) {
                work(matrix, covered);
            }
            return;
        };
        rayon::join(|| upper.for_each(cuts, work), || lower.for_each(cuts, work));
    }
}

/// Cuts a matrix into `n_rows` × `n_columns` tiles of nearly equal size, at whole vectors, and works on them in parallel.
fn in_tiles(
    matrix: MatrixMut,
    [n_rows, n_columns]: [usize; 2],
    work: &(impl Fn(MatrixMut, [Range<usize>; 2]) + Sync),
) {
    let cuts = [
        Cuts { length: matrix.rows, n: n_rows, step: 8 },
        Cuts { length: matrix.columns, n: n_columns, step: 16 },
    ];
    Tiles { matrix, rows: 0..n_rows, columns: 0..n_columns }.for_each(cuts, work);
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
    // Its inner kernel likes the result's columns to be dense, so it is asked for cᵀ = bᵀ·aᵀ.
    //
    // SAFETY: `c` may write its elements by its invariant and shares none with `a` and `b`, which are borrowed at
    // the same time; `a` and `b` were checked against their slices when they were made, and their parts lie
    // inside them. So every element that `gemm` touches by these sizes and strides may be touched. Strides fit
    // isize because slices do.
    unsafe {
        let product = gemm_f32::gemm::f32::get_gemm_fn();
        product(
            c.columns,
            c.rows,
            a.columns,
            c.data,
            c.row_stride as isize,
            1,
            write == Write::Accumulate,
            b.data.as_ptr(),
            b.row_stride as isize,
            b.column_stride as isize,
            a.data.as_ptr(),
            a.row_stride as isize,
            a.column_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
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
    let (row_tiles, column_tiles) = n_tiles(a, b, rayon::current_num_threads());
    if row_tiles * column_tiles == 1 {
        return multiply(c, a, b, 1.0, write);
    }
    in_tiles(c, [row_tiles, column_tiles], &|tile, [rows, columns]| {
        multiply(tile, a.rows(rows), b.columns(columns), 1.0, write);
    });
}

/// Rows and columns of tiles of the product a·b: one tile for each thread, if they are worth it.
///
/// `gemm` packs what its kernel cannot read in place: the columns of b once per row of tiles, the rows of a once per
/// column of tiles unless they are contiguous, and fastest in one call for everything. The number of tiles may follow
/// the number of threads because an element's sum runs over the inner dimension in steps that depend on its length
/// alone. That holds of tiles at least [`THIN`] on both sides and [`ROWS_MIN`] or [`COLUMNS_MIN`] on one; for smaller
/// ones `gemm` has other kernels.
fn n_tiles(a: Matrix, b: Matrix, n_threads: usize) -> (usize, usize) {
    let (rows, columns) = (a.rows, b.columns);
    if rows * columns * a.columns < MULTIPLICATIONS_MIN {
        return (1, 1);
    }
    // Thin products have kernels whose sums do depend on the extent: they get a fixed number of tiles.
    let n_threads = if rows.min(columns) < THIN { 4 } else { n_threads };
    let a_is_packed = a.column_stride != 1;
    let packed = |&(row_tiles, column_tiles): &(usize, usize)| {
        columns * row_tiles + if a_is_packed { rows * column_tiles } else { 0 }
    };
    let fits = |&(row_tiles, column_tiles): &(usize, usize)| {
        (row_tiles == 1 || rows / row_tiles >= ROWS_MIN)
            && (column_tiles == 1 || columns / column_tiles >= COLUMNS_MIN)
    };
    // As many tiles as threads, or as many as fit.
    let of = |n: usize| {
        (1..=n).filter(move |rows| n.is_multiple_of(*rows)).map(move |rows| (rows, n / rows))
    };
    (1..=n_threads).rev().find_map(|n| of(n).filter(fits).min_by_key(packed)).unwrap_or((1, 1))
}

/// Products of fewer multiplications are not worth a second thread: 10 µs.
const MULTIPLICATIONS_MIN: usize = 1_000_000;
/// Rows or columns below which the number of tiles is fixed.
const THIN: usize = 8;
/// Rows and columns of a tile where there are several; `gemm` has other kernels up to 64 × 64.
const ROWS_MIN: usize = 72;
const COLUMNS_MIN: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn tiles_cover_every_element_once() {
        for (rows, columns) in [(1, 1), (5, 7), (32, 48), (33, 17), (100, 50)] {
            let mut data = vec![0.0; rows * columns];
            let matrix = MatrixMut::new(&mut data, rows, columns);
            in_tiles(matrix, [3, 2], &|tile, [rows, columns]| {
                let (m, n) = (rows.len(), columns.len());
                let ones = vec![1.0; m.max(n)];
                let (a, b) = (Matrix::new(&ones, m, 1), Matrix::new(&ones, 1, n));
                multiply(tile, a, b, 1.0, Write::Accumulate);
            });
            assert!(data.iter().all(|&x| x == 1.0), "{rows} × {columns}");
        }
    }

    #[test]
    fn bytes_do_not_depend_on_the_tiles() {
        // Forward, backward of the input and of the weight, with sides around the limits of special kernels.
        let shapes = [
            (145, 300, 97),
            (1520, 700, 193),
            (200, 1300, 1000),
            (73, 513, 400),
            (300, 600, 73),
            (50, 1300, 400),
            (400, 1300, 50),
            (1, 3000, 400),
            (2, 3000, 401),
            (8, 3000, 401),
            (400, 3000, 1),
            (401, 3000, 9),
        ];
        for (rows, inner, columns) in shapes {
            let (a, b) = (random(rows * inner, 1), random(inner * columns, 2));
            let a = [Matrix::new(&a, rows, inner), Matrix::new(&a, inner, rows).transposed()];
            let b = [Matrix::new(&b, columns, inner).transposed(), Matrix::new(&b, inner, columns)];
            for (a, b) in [(a[0], b[0]), (a[0], b[1]), (a[1], b[1])] {
                let product = |n_threads: usize| {
                    let mut c = vec![f32::NAN; rows * columns];
                    let (n_rows, n_columns) = n_tiles(a, b, n_threads);
                    let matrix = MatrixMut::new(&mut c, rows, columns);
                    in_tiles(matrix, [n_rows, n_columns], &|tile, [rows, columns]| {
                        multiply(tile, a.rows(rows), b.columns(columns), 1.0, Write::Overwrite);
                    });
                    c.iter().map(|c| c.to_bits()).collect::<Vec<_>>()
                };
                let whole = product(1);
                for n_threads in [2, 3, 4, 6, 8, 16] {
                    assert!(whole == product(n_threads), "{rows} {inner} {columns}: {n_threads}");
                }
            }
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
