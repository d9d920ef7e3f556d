//! The embedding: row r of y is the row of the table that token r names.
//!
//! With [`Write::Accumulate`] it is added instead, for learned positions; [`scale`] is the factor that Gemma's models put
//! after it. Backward adds dy\[r\] to the gradient of that row of the table; tokens that occur several times add up in
//! the order of their rows, and rows that no token names are zero.

mod cpu;
pub mod cuda;

use crate::{Write, blocks};
use tracing::trace_span;

/// y\[r\] = or += table\[ids\[r\]\]. Shapes: y \[rows, width\], table \[vocabulary, width\], ids \[rows\].
pub fn forward(y: &mut [f32], table: &[f32], ids: &[u32], width: usize, write: Write) {
    let _span = trace_span!("embedding forward").entered();
    check(table, ids, y, width);
    cpu::forward(y, table, ids, width, write);
}

/// y ← factor·y, and the same for its gradient.
pub fn scale(y: &mut [f32], factor: f32) {
    blocks::scale(y, factor);
}

/// dtable\[ids\[r\]\] += dy\[r\], from zero or from what is there. Shapes: dtable \[vocabulary, width\], dy \[rows, width\], ids
/// \[rows\].
pub fn backward(dtable: &mut [f32], dy: &[f32], ids: &[u32], width: usize, write: Write) {
    let _span = trace_span!("embedding backward").entered();
    check(dtable, ids, dy, width);
    cpu::backward(dtable, dy, ids, width, write);
}

fn check(table: &[f32], ids: &[u32], y: &[f32], width: usize) {
    assert_eq!(table.len() % width, 0, "the table is not [vocabulary, width] with width {width}");
    assert_eq!(
        y.len(),
        ids.len() * width,
        "y is not [rows, width] for {} ids of width {width}",
        ids.len()
    );
    let vocabulary = table.len() / width;
    if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
        panic!("token id {id} is outside the vocabulary of {vocabulary}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn rows_are_gathered() {
        let table = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut y = [f32::NAN; 6];
        forward(&mut y, &table, &[2, 0, 2], 2, Write::Overwrite);
        assert_eq!(y, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
        forward(&mut y, &table, &[0, 1, 2], 2, Write::Accumulate);
        assert_eq!(y, [6.0, 8.0, 4.0, 6.0, 10.0, 12.0]);
        scale(&mut y, 0.5);
        assert_eq!(y, [3.0, 4.0, 2.0, 3.0, 5.0, 6.0]);
    }

    #[test]
    fn gradients_of_a_repeated_token_add_up() {
        let mut dtable = [0.5; 6];
        let dy = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0];
        backward(&mut dtable, &dy, &[2, 0, 2], 2, Write::Accumulate);
        assert_eq!(dtable, [3.5, 4.5, 0.5, 0.5, 11.5, 22.5]);
        backward(&mut dtable, &dy, &[2, 0, 2], 2, Write::Overwrite);
        assert_eq!(dtable, [3.0, 4.0, 0.0, 0.0, 11.0, 22.0]);
    }

    #[test]
    fn backward_is_the_transpose_of_forward() {
        // The operation is linear in the table: ⟨dy, forward(t)⟩ = ⟨backward(dy), t⟩ for all dy and t.
        let (rows, vocabulary, width) = (301, 97, 33);
        let (table, dy, ids) = (
            random(vocabulary * width, 1),
            random(rows * width, 2),
            random_ids(rows, vocabulary, 3),
        );
        let (mut y, mut dtable) = (vec![0.0; rows * width], vec![0.0; vocabulary * width]);
        forward(&mut y, &table, &ids, width, Write::Overwrite);
        backward(&mut dtable, &dy, &ids, width, Write::Overwrite);
        let forward_product = inner(&to_f64(&y), &to_f64(&dy));
        let backward_product = inner(&to_f64(&dtable), &to_f64(&table));
        assert!(
            (forward_product - backward_product).abs() < 1e-4,
            "{forward_product} and {backward_product}"
        );
    }

    #[test]
    #[should_panic(expected = "token id 3 is outside the vocabulary of 3")]
    fn a_token_outside_the_vocabulary_is_refused() {
        forward(&mut [0.0; 2], &[0.0; 6], &[3], 2, Write::Overwrite);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (rows, vocabulary, width) = (701, 97, 64);
        let (table, dy, ids) = (
            random(vocabulary * width, 1),
            random(rows * width, 2),
            random_ids(rows, vocabulary, 3),
        );
        assert_same_on_any_number_of_threads(|| {
            let (mut y, mut dtable) = (vec![0.0; rows * width], vec![0.0; vocabulary * width]);
            forward(&mut y, &table, &ids, width, Write::Overwrite);
            backward(&mut dtable, &dy, &ids, width, Write::Overwrite);
            [y, dtable].concat()
        });
    }
}
