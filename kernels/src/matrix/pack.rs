//! Columns of a matrix copied into panels: what the inner loops of a product read, densely and in their order.
//!
//! A panel holds `WIDTH` columns, row after row. Panels follow each other; the last one is filled up with zeros. Nothing
//! is computed.

use super::view::Matrix;
use crate::vector::vectorised;
use pulp::Arch;

/// Side of the squares in which a matrix is transposed.
const SIDE: usize = 8;
type Square = [[f32; SIDE]; SIDE];

/// Elements of all panels of a matrix.
pub(super) fn packed_len(rows: usize, columns: usize, width: usize) -> usize {
    rows * columns.next_multiple_of(width)
}

/// Copies the columns of `source` into `panels`.
pub(super) fn pack<const WIDTH: usize>(panels: &mut [f32], source: Matrix) {
    if source.rows * source.columns == 0 {
        return;
    }
    if source.column_stride == 1 {
        return vectorised(
            #[inline(always)]
            || copy::<WIDTH>(panels, source),
        );
    }
    let columns = source.transposed();
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(simd) => avx::transpose::<WIDTH>(*simd, panels, columns),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => avx::transpose::<WIDTH>(simd, panels, columns),
        arch => arch.dispatch(
            #[inline(always)]
            || transpose::<WIDTH>(panels, columns, transposed),
        ),
    }
}

/// From rows that are dense, in their order.
#[inline(always)]
fn copy<const WIDTH: usize>(panels: &mut [f32], source: Matrix) {
    let panel_len = source.rows * WIDTH;
    for p in 0..source.rows {
        let (whole, rest) = source.row(p).as_chunks::<WIDTH>();
        let mut panels = panels.chunks_exact_mut(panel_len);
        for (columns, panel) in whole.iter().zip(panels.by_ref()) {
            panel[p * WIDTH..][..WIDTH].copy_from_slice(columns);
        }
        if let (Some(panel), false) = (panels.next(), rest.is_empty()) {
            let (target, filler) = panel[p * WIDTH..][..WIDTH].split_at_mut(rest.len());
            target.copy_from_slice(rest);
            filler.fill(0.0);
        }
    }
}

/// From columns that are dense, which are the rows here, in small squares.
#[inline(always)]
fn transpose<const WIDTH: usize>(
    panels: &mut [f32],
    columns: Matrix,
    transposed: impl Fn(Square) -> Square,
) {
    let depth = columns.columns;
    let panels = panels.chunks_exact_mut(depth * WIDTH);
    for (panel, first) in panels.zip((0..columns.rows).step_by(WIDTH)) {
        let columns = columns.rows(first..columns.rows.min(first + WIDTH));
        for j in (0..WIDTH).step_by(SIDE) {
            let (width, n_columns) =
                (SIDE.min(WIDTH - j), columns.rows.saturating_sub(j).min(SIDE));
            for start in (0..depth).step_by(SIDE) {
                let n_rows = SIDE.min(depth - start);
                let mut square = [[0.0; SIDE]; SIDE];
                for (i, square) in square.iter_mut().enumerate().take(n_columns) {
                    let column = &columns.row(j + i)[start..];
                    match n_rows {
                        SIDE => square.copy_from_slice(&column[..SIDE]),
                        _ => square[..n_rows].copy_from_slice(&column[..n_rows]),
                    }
                }
                let square = transposed(square);
                for (p, row) in square.iter().enumerate().take(n_rows) {
                    let target = &mut panel[(start + p) * WIDTH + j..];
                    match width {
                        SIDE => target[..SIDE].copy_from_slice(row),
                        _ => target[..width].copy_from_slice(&row[..width]),
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn transposed(square: Square) -> Square {
    std::array::from_fn(|p| std::array::from_fn(|i| square[i][p]))
}

/// The same in registers: element by element, it took longer than a small product.
#[cfg(target_arch = "x86_64")]
mod avx {
    use super::{Matrix, Square};
    use pulp::core_arch::x86::Avx;
    use pulp::x86::V3;

    pub(super) fn transpose<const WIDTH: usize>(simd: V3, panels: &mut [f32], columns: Matrix) {
        pulp::Simd::vectorize(
            simd,
            #[inline(always)]
            || super::transpose::<WIDTH>(panels, columns, |square| transposed(simd.avx, square)),
        );
    }

    #[inline(always)]
    fn transposed(avx: Avx, square: Square) -> Square {
        let [a, b, c, d, e, f, g, h] = square.map(pulp::cast);
        let [ab, cd, ef, gh] = [[a, b], [c, d], [e, f], [g, h]]
            .map(|[x, y]| [avx._mm256_unpacklo_ps(x, y), avx._mm256_unpackhi_ps(x, y)]);
        // Rows 0 to 3 of the first half, and 4 to 7 of the second, in the two halves of each vector.
        let quarters = |x: [_; 2], y: [_; 2]| {
            [
                avx._mm256_shuffle_ps::<0b01_00_01_00>(x[0], y[0]),
                avx._mm256_shuffle_ps::<0b11_10_11_10>(x[0], y[0]),
                avx._mm256_shuffle_ps::<0b01_00_01_00>(x[1], y[1]),
                avx._mm256_shuffle_ps::<0b11_10_11_10>(x[1], y[1]),
            ]
        };
        let (left, right) = (quarters(ab, cd), quarters(ef, gh));
        std::array::from_fn(|p| {
            let (left, right) = (left[p % 4], right[p % 4]);
            pulp::cast(match p / 4 {
                0 => avx._mm256_permute2f128_ps::<0x20>(left, right),
                _ => avx._mm256_permute2f128_ps::<0x31>(left, right),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn panels_hold_the_columns_and_then_zeros() {
        fn check<const WIDTH: usize>() {
            for (rows, columns) in
                [(1, 1), (3, 5), (8, 16), (9, 17), (19, 70), (40, 6), (0, 3), (2, 0)]
            {
                let stride = columns + 3;
                let data = random(rows * stride, 7);
                let dense = Matrix::strided(&data, rows, columns, stride);
                let other = random(columns * (rows + 1), 8);
                let turned = Matrix::strided(&other, columns, rows, rows + 1).transposed();
                for (source, at) in [
                    (
                        dense,
                        Box::new(|p, j| data[p * stride + j]) as Box<dyn Fn(usize, usize) -> f32>,
                    ),
                    (turned, Box::new(|p, j| other[j * (rows + 1) + p])),
                ] {
                    let mut panels = vec![f32::NAN; packed_len(rows, columns, WIDTH)];
                    pack::<WIDTH>(&mut panels, source);
                    for (i, &value) in panels.iter().enumerate() {
                        let (panel, p, j) = (i / (rows * WIDTH), i / WIDTH % rows, i % WIDTH);
                        let column = panel * WIDTH + j;
                        let expected = if column < columns { at(p, column) } else { 0.0 };
                        assert_eq!(value, expected, "{rows} × {columns} in panels of {WIDTH}: {i}");
                    }
                }
            }
        }
        check::<2>();
        check::<4>();
        check::<6>();
        check::<16>();
        check::<64>();
    }
}
