//! Strided views of flat slices.
//!
//! A view knows its rows, columns and strides and is checked against its slice when it is made, so that whoever is handed one
//! may compute with it. Views hold no data and do no arithmetic.

use std::marker::PhantomData;
use std::ops::Range;

/// A matrix inside a slice: element (i, j) is `data[i * row_stride + j * column_stride]`.
///
/// Invariant: for every i < rows and j < columns it is inside the slice, and one of the strides is 1.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
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

    /// Some of the rows.
    pub(super) fn rows(self, range: Range<usize>) -> Self {
        assert!(range.end <= self.rows, "rows {range:?} of {}", self.rows);
        let first = (range.start * self.row_stride).min(self.data.len());
        Self { data: &self.data[first..], rows: range.len(), ..self }
    }

    /// Some of the columns.
    pub(super) fn columns(self, range: Range<usize>) -> Self {
        self.transposed().rows(range).transposed()
    }

    #[inline(always)]
    pub(super) fn at(self, row: usize, column: usize) -> f32 {
        self.data[row * self.row_stride + column * self.column_stride]
    }

    /// The elements of a row, which follow each other.
    #[inline(always)]
    pub(super) fn row(self, index: usize) -> &'a [f32] {
        assert!(index < self.rows && self.column_stride == 1, "row {index} of {}", self.rows);
        &self.data[index * self.row_stride..][..self.columns]
    }
}

/// A writable matrix inside a slice, rows of `columns` elements that begin `row_stride` apart.
///
/// Invariant: `data` is valid for reads and writes, for as long as `'a`, at every offset
/// i·row_stride + j with i < rows and j < columns, and no one else uses these elements meanwhile.
pub(crate) struct MatrixMut<'a> {
    pub(super) data: *mut f32,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
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
        assert!(rows <= 1 || columns <= row_stride, "rows of {columns} overlap at {row_stride}");
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
        let is_empty = rows == 0 || self.columns == 0;
        let offset = if is_empty { 0 } else { range.start * self.row_stride };
        // SAFETY: the offset is that of a row of the matrix or none. The invariant holds because the view's elements
        // are a subset of this one's, which is borrowed meanwhile.
        let data = unsafe { self.data.add(offset) };
        MatrixMut { data, rows, borrowed: PhantomData, ..*self }
    }

    /// Some of the rows and columns, for a while.
    pub(super) fn tile(&mut self, rows: Range<usize>, columns: Range<usize>) -> MatrixMut<'_> {
        let [_, right] = self.rows(rows).split_at_column(columns.start);
        let [tile, _] = right.split_at_column(columns.len());
        tile
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
    pub(super) fn split_at_row(self, row: usize) -> [Self; 2] {
        assert!(row <= self.rows, "row {row} of {}", self.rows);
        let is_empty = row == self.rows || self.columns == 0;
        // SAFETY: the offset is that of a row of the matrix or none. The invariant holds because this view is consumed and
        // the parts share no element.
        let data = unsafe { self.data.add(if is_empty { 0 } else { row * self.row_stride }) };
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

fn check_extent(len: usize, rows: usize, columns: usize, row_stride: usize) {
    let extent = match (rows, columns) {
        (0, _) | (_, 0) => Some(0),
        _ => (rows - 1).checked_mul(row_stride).and_then(|start| start.checked_add(columns)),
    };
    assert!(
        extent.is_some_and(|extent| extent <= len),
        "a matrix of {rows} × {columns} at a stride of {row_stride} does not fit into {len} elements"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_beyond_its_slice_is_refused() {
        let data = [0.0; 11];
        Matrix::strided(&data, 3, 3, 4);
        for (rows, columns, stride) in [(3, 4, 4), (1, 12, 0), (1 << 62, 4, 4), (2, 1, usize::MAX)]
        {
            let beyond =
                std::panic::catch_unwind(|| Matrix::strided(&data, rows, columns, stride).rows);
            assert!(beyond.is_err(), "{rows} × {columns} at {stride}");
        }
    }
}
