//! Attention of one new token per sequence against a cache of keys and values, for sampling many completions at
//! once.
//!
//! A cache is \[sequences, capacity, kv_heads, head_dim\]; sequence s has lengths\[s\] valid rows, its newest token
//! among them. The formula is that of `attention` for a single query that sees all of them, or those in its window, with
//! the same cap. No backward.

mod cpu;
pub mod cuda;

use crate::attention::Shape;
use tracing::trace_span;

/// The keys and values of every sequence so far.
#[derive(Debug, Clone, Copy)]
pub struct Cache<'a> {
    /// \[sequences, capacity, kv_heads, head_dim\]
    pub k: &'a [f32],
    /// \[sequences, capacity, kv_heads, head_dim\]
    pub v: &'a [f32],
    /// Rows that each sequence has room for.
    pub capacity: usize,
}

/// cache\[s, positions\[s\]\] = rows\[s\], for keys or values. Shapes: rows \[sequences, width\] with width =
/// kv_heads·head_dim, cache \[sequences, capacity, width\].
pub fn append(cache: &mut [f32], rows: &[f32], positions: &[u32], capacity: usize) {
    if positions.is_empty() {
        return;
    }
    let width = rows.len() / positions.len();
    assert_eq!(
        rows.len(),
        positions.len() * width,
        "rows are not [{} sequences, width]",
        positions.len()
    );
    assert_eq!(
        cache.len(),
        positions.len() * capacity * width,
        "the cache is not [sequences, capacity, width]"
    );
    if let Some(position) = positions.iter().find(|&&p| p as usize >= capacity) {
        panic!("position {position} is outside the cache's capacity of {capacity}");
    }
    cpu::append(cache, rows, positions, capacity, width);
}

/// y is overwritten; a sequence of length 0 gets zeros. Shapes: y and q \[sequences, heads, head_dim\], lengths
/// \[sequences\].
pub fn forward(y: &mut [f32], q: &[f32], cache: Cache, lengths: &[u32], shape: &Shape) {
    let _span = trace_span!("decode").entered();
    shape.check();
    let cached = lengths.len() * cache.capacity * shape.kv_heads * shape.head_dim;
    assert_eq!(
        q.len(),
        lengths.len() * shape.heads * shape.head_dim,
        "q is not [sequences, heads, head_dim] of {shape:?}"
    );
    assert_eq!(y.len(), q.len(), "y and q differ in size");
    assert_eq!(
        cache.k.len(),
        cached,
        "the key cache is not [sequences, capacity, kv_heads, head_dim] of {shape:?}"
    );
    assert_eq!(
        cache.v.len(),
        cached,
        "the value cache is not [sequences, capacity, kv_heads, head_dim] of {shape:?}"
    );
    if let Some(length) = lengths.iter().find(|&&length| length as usize > cache.capacity) {
        panic!("a sequence of length {length} exceeds the cache's capacity of {}", cache.capacity);
    }
    cpu::forward(y, q, cache, lengths, shape);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{self, Segment};
    use crate::testing::*;

    const fn plain(heads: usize, kv_heads: usize, head_dim: usize, scale: f32) -> Shape {
        Shape { heads, kv_heads, head_dim, scale, softcap: None, window: None }
    }

    const SHAPES: [Shape; 5] = [
        plain(1, 1, 3, 0.7),
        plain(6, 2, 33, 0.3),
        plain(4, 2, 32, 0.18),
        Shape { softcap: Some(0.5), ..plain(4, 2, 32, 0.18) },
        Shape { softcap: Some(2.0), window: Some(60), ..plain(6, 2, 33, 0.3) },
    ];

    #[test]
    fn agrees_with_attention_over_the_whole_sequence() {
        let capacity = 150;
        for shape in &SHAPES {
            let (width, kv_width) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
            let lengths = [1, 7, 150, 64];
            let k = random(lengths.len() * capacity * kv_width, 1);
            let v = random(lengths.len() * capacity * kv_width, 2);
            let q = random(lengths.len() * width, 3);
            let mut y = vec![f32::NAN; q.len()];
            forward(&mut y, &q, Cache { k: &k, v: &v, capacity }, &lengths, shape);

            for (s, &length) in lengths.iter().enumerate() {
                // The newest query among rows whose own queries do not matter.
                let rows = length as usize;
                let cached = s * capacity * kv_width..(s * capacity + rows) * kv_width;
                let all_q =
                    [vec![0.0; (rows - 1) * width], q[s * width..][..width].to_vec()].concat();
                let inputs = attention::Inputs { q: &all_q, k: &k[cached.clone()], v: &v[cached] };
                let segment = Segment { start: 0, len: rows, prefix_start: 0, prefix_len: 0 };
                let (mut whole, mut lse) = (vec![0.0; rows * width], vec![0.0; rows * shape.heads]);
                attention::forward(&mut whole, &mut lse, inputs, &[segment], shape);
                assert_close(&y[s * width..][..width], &to_f64(&whole[(rows - 1) * width..]), 2e-6);
            }
        }
    }

    #[test]
    fn a_sequence_of_one_token_returns_its_value() {
        let shape = plain(2, 1, 2, 1.0);
        let (k, v) = ([9.0, 9.0, f32::NAN, f32::NAN], [1.0, 2.0, f32::NAN, f32::NAN]);
        let mut y = [f32::NAN; 4];
        forward(&mut y, &[0.3; 4], Cache { k: &k, v: &v, capacity: 2 }, &[1], &shape);
        assert_eq!(y, [1.0, 2.0, 1.0, 2.0]);
        forward(&mut y, &[0.3; 4], Cache { k: &k, v: &v, capacity: 2 }, &[0], &shape);
        assert_eq!(y, [0.0; 4]);
    }

    #[test]
    fn rows_are_appended_at_their_positions() {
        let mut cache = [0.0; 12];
        append(&mut cache, &[1.0, 2.0, 3.0, 4.0], &[2, 0], 3);
        assert_eq!(cache, [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "position 3 is outside the cache's capacity of 3")]
    fn a_full_cache_is_refused() {
        append(&mut [0.0; 6], &[1.0, 2.0], &[3], 3);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (shape, capacity, n) = (&SHAPES[2], 40, 101);
        let (k, v) = (random(n * capacity * 64, 1), random(n * capacity * 64, 2));
        let (q, lengths) = (random(n * 128, 3), random_ids(n, capacity, 4));
        assert_same_on_any_number_of_threads(|| {
            let mut y = vec![0.0; q.len()];
            forward(&mut y, &q, Cache { k: &k, v: &v, capacity }, &lengths, shape);
            y
        });
    }
}
