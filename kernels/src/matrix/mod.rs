//! Products of matrices.
//!
//! [`multiply`] runs on the calling thread; [`multiply_in_tiles`] cuts a product into one tile per thread, which leaves every
//! element's sum as it is, and runs them in parallel. Operands are views ([`Matrix`], [`MatrixMut`]) that were checked
//! against their slices, so both are safe for their callers.

mod microkernel;
mod pack;
mod product;
mod tiles;
mod view;

pub(crate) use view::{Matrix, MatrixMut};

use crate::Write;
use tiles::in_tiles;

/// c = scale·a·b, or c += scale·a·b, on the calling thread.
pub(crate) fn multiply(c: MatrixMut, a: Matrix, b: Matrix, scale: f32, write: Write) {
    check_product(&c, a, b);
    product::compute(c, a, b, scale, write);
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
    in_tiles(c, [row_tiles, column_tiles], &|tile, [rows, columns]| {
        multiply(tile, a.rows(rows), b.columns(columns), 1.0, write);
    });
}

/// Rows and columns of tiles of the product a·b: one tile for each thread, if they are worth it.
///
/// What is packed is packed for every tile that needs it: the columns of b once per row of tiles, the rows of a once per
/// column of tiles unless they are read in place. The number of tiles may follow the number of threads because an
/// element's sum runs over the inner dimension in steps that depend on its length alone; only products of
/// few rows are summed otherwise, and no tile of another one has so few: a tile may lack a step of its share.
fn n_tiles(a: Matrix, b: Matrix, n_threads: usize) -> (usize, usize) {
    let (rows, columns) = (a.rows, b.columns);
    if rows * columns * a.columns < MULTIPLICATIONS_MIN {
        return (1, 1);
    }
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
/// Rows and columns of a tile where there are several.
const ROWS_MIN: usize = 48;
const _: () = assert!(ROWS_MIN > tiles::ROWS_STEP + product::FEW_ROWS);
const COLUMNS_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn bytes_do_not_depend_on_the_tiles() {
        // Forward, backward of the input and of the weight, with sides around the smallest tiles and around few rows.
        let shapes = [
            (95, 300, 129),
            (97, 300, 127),
            (1520, 700, 193),
            (200, 1300, 1000),
            (73, 513, 400),
            (300, 600, 73),
            (3, 3000, 400),
            (4, 3000, 400),
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
}
