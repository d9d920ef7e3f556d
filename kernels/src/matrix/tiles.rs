//! How a product is cut into tiles for several threads.
//!
//! The tiles of a matrix share no element; each is handed out with the rows and columns that it covers. Nothing here decides
//! how many there should be.

use super::view::MatrixMut;
use std::ops::Range;

/// Where `length` is cut into `n` parts of nearly equal size: at multiples of `step`.
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
            false => self.length * index / self.n / self.step * self.step,
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

/// Whole strips of every instruction set.
pub(super) const ROWS_STEP: usize = 12;
/// Whole vectors of every instruction set.
const COLUMNS_STEP: usize = 16;

/// Cuts a matrix into `n_rows` × `n_columns` tiles of nearly equal size and works on them in parallel.
pub(super) fn in_tiles(
    matrix: MatrixMut,
    [n_rows, n_columns]: [usize; 2],
    work: &(impl Fn(MatrixMut, [Range<usize>; 2]) + Sync),
) {
    let cuts = [
        Cuts { length: matrix.rows, n: n_rows, step: ROWS_STEP },
        Cuts { length: matrix.columns, n: n_columns, step: COLUMNS_STEP },
    ];
    Tiles { matrix, rows: 0..n_rows, columns: 0..n_columns }.for_each(cuts, work);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_element_once() {
        for (rows, columns) in [(1, 1), (5, 7), (32, 48), (33, 17), (100, 50)] {
            let mut data = vec![0.0; rows * columns];
            let matrix = MatrixMut::new(&mut data, rows, columns);
            in_tiles(matrix, [3, 2], &|mut tile, [rows, columns]| {
                for i in 0..rows.len() {
                    let row = tile.row(i);
                    assert_eq!(row.len(), columns.len());
                    row.iter_mut().for_each(|element| *element += 1.0);
                }
            });
            assert!(data.iter().all(|&x| x == 1.0), "{rows} × {columns}");
        }
    }
}
