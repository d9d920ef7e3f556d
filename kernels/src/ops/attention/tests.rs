//! Forward and backward against the reference on layouts of segments, and what a shared prefix means.

use super::reference::{self, Rows};
use super::*;
use crate::testing::*;

const fn plain(heads: usize, kv_heads: usize, head_dim: usize, scale: f32) -> Shape {
    Shape { heads, kv_heads, head_dim, scale, softcap: None, window: None }
}

const SHAPES: [Shape; 7] = [
    plain(1, 1, 3, 0.7),
    plain(4, 2, 8, 0.5),
    plain(6, 2, 33, 0.3),
    plain(2, 2, 64, 0.25),
    Shape { softcap: Some(0.8), ..plain(4, 2, 8, 0.5) },
    Shape { window: Some(5), ..plain(2, 1, 16, 0.4) },
    Shape { softcap: Some(2.0), window: Some(50), ..plain(2, 2, 64, 0.25) },
];

fn whole(start: usize, len: usize) -> Segment {
    Segment { start, len, prefix_start: 0, prefix_len: 0 }
}

/// Segments of the given lengths, each after its prefix: (len, prefix_start, prefix_len).
fn layout(parts: &[(usize, usize, usize)]) -> Vec<Segment> {
    let mut start = 0;
    let mut place = |&(len, prefix_start, prefix_len): &(usize, usize, usize)| {
        let segment = Segment { start, len, prefix_start, prefix_len };
        start += len;
        segment
    };
    parts.iter().map(&mut place).collect()
}

fn layouts() -> Vec<Vec<Segment>> {
    vec![
        layout(&[(1, 0, 0)]),
        layout(&[(5, 0, 0), (1, 0, 0), (7, 0, 0)]),
        // Two pairs: a prompt, then two completions that share it.
        layout(&[(4, 0, 0), (3, 0, 4), (6, 0, 4), (9, 13, 0), (2, 13, 9), (17, 13, 9)]),
        // Longer than a block, prefixes that are adjacent, distant and partial, and an empty segment.
        layout(&[(70, 0, 0), (0, 0, 70), (129, 0, 70), (65, 3, 40), (1, 70, 100)]),
    ]
}

fn rows_of(segments: &[Segment]) -> usize {
    segments.iter().map(|segment| segment.len).sum()
}

struct Operands {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    dy: Vec<f32>,
}

impl Operands {
    fn new(rows: usize, shape: &Shape) -> Self {
        let (q, kv) = (rows * shape.q_width(), rows * shape.kv_width());
        Self { q: random(q, 1), k: random(kv, 2), v: random(kv, 3), dy: random(q, 4) }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs { q: &self.q, k: &self.k, v: &self.v }
    }

    fn exact(&self) -> Rows {
        Rows { q: to_f64(&self.q), k: to_f64(&self.k), v: to_f64(&self.v) }
    }
}

struct Results {
    y: Vec<f32>,
    lse: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

fn forward_and_backward(operands: &Operands, segments: &[Segment], shape: &Shape) -> Results {
    let unset = |n: usize| vec![f32::NAN; n];
    let (n_q, n_kv) = (operands.q.len(), operands.k.len());
    let (mut y, mut lse) = (unset(n_q), unset(n_q / shape.head_dim));
    forward(&mut y, &mut lse, operands.inputs(), segments, shape);
    let (mut dq, mut dk, mut dv) = (unset(n_q), unset(n_kv), unset(n_kv));
    let gradients = Gradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
    let outputs = Outputs { y: &y, lse: &lse };
    backward(gradients, &operands.dy, outputs, operands.inputs(), segments, shape);
    Results { y, lse, dq, dk, dv }
}

#[test]
fn forward_and_backward_agree_with_the_reference() {
    for segments in layouts() {
        for shape in &SHAPES {
            let operands = Operands::new(rows_of(&segments), shape);
            let results = forward_and_backward(&operands, &segments, shape);
            let (y, lse) = reference::forward(&operands.exact(), &segments, shape);
            assert_close(&results.y, &y, 2e-6);
            assert_close(&results.lse, &lse, 2e-6);
            let exact =
                reference::backward(&to_f64(&operands.dy), &operands.exact(), &segments, shape);
            assert_close(&results.dv, &exact.v, 4e-6);
            if rows_of(&segments) > 1 {
                // One row sees only itself: dq and dk are zero but for rounding.
                assert_close(&results.dq, &exact.q, 4e-6);
                assert_close(&results.dk, &exact.k, 4e-6);
            }
        }
    }
}

#[test]
fn reference_gradients_are_central_differences() {
    let shape = Shape { softcap: Some(0.5), window: Some(3), ..plain(2, 1, 3, 0.6) };
    let segments = layout(&[(3, 0, 0), (2, 0, 3), (3, 1, 2)]);
    let operands = Operands::new(8, &shape);
    let (exact, dy) = (operands.exact(), to_f64(&operands.dy));
    let gradients = reference::backward(&dy, &exact, &segments, &shape);
    let value = |rows: &Rows| inner(&reference::forward(rows, &segments, &shape).0, &dy);
    let by_q = differences(&exact.q, |q| value(&Rows { q: q.to_vec(), ..exact.clone() }));
    let by_k = differences(&exact.k, |k| value(&Rows { k: k.to_vec(), ..exact.clone() }));
    let by_v = differences(&exact.v, |v| value(&Rows { v: v.to_vec(), ..exact.clone() }));
    assert_close_f64(&gradients.q, &by_q, 1e-7);
    assert_close_f64(&gradients.k, &by_k, 1e-7);
    assert_close_f64(&gradients.v, &by_v, 1e-7);
}

#[test]
fn a_shared_prefix_is_the_same_as_one_copy_per_completion() {
    // prompt(5) chosen(3) rejected(4) against prompt chosen, prompt rejected; the prompt's own outputs get no
    // gradient in the second copy.
    let shape = &SHAPES[1];
    let shared = layout(&[(5, 0, 0), (3, 0, 5), (4, 0, 5)]);
    let operands = Operands::new(12, shape);
    let copy = |data: &[f32], width: usize| -> Vec<f32> {
        [&data[..8 * width], &data[..5 * width], &data[8 * width..]].concat()
    };
    let (qw, kw) = (shape.q_width(), shape.kv_width());
    let mut dy = copy(&operands.dy, qw);
    dy[8 * qw..13 * qw].fill(0.0);
    let copies = Operands {
        q: copy(&operands.q, qw),
        k: copy(&operands.k, kw),
        v: copy(&operands.v, kw),
        dy,
    };
    let one = forward_and_backward(&operands, &shared, shape);
    let two = forward_and_backward(&copies, &[whole(0, 8), whole(8, 9)], shape);

    assert_close(&one.y, &to_f64(&[&two.y[..8 * qw], &two.y[13 * qw..]].concat()), 1e-6);
    for (one, two) in [(&one.dk, &two.dk), (&one.dv, &two.dv)] {
        let mut merged = to_f64(&[&two[..8 * kw], &two[13 * kw..]].concat());
        for i in 0..5 * kw {
            merged[i] += f64::from(two[8 * kw + i]);
        }
        assert_close(one, &merged, 2e-6);
    }
}

#[test]
fn keys_outside_the_window_are_not_read() {
    // Rows 0 to 99 hold NaN; with a window of 5, block 128..160 and later ones have nothing to do with them.
    let shape = Shape { window: Some(5), ..plain(2, 1, 16, 0.4) };
    let mut operands = Operands::new(200, &shape);
    for data in [&mut operands.q, &mut operands.k, &mut operands.v, &mut operands.dy] {
        let width = data.len() / 200;
        data[..100 * width].fill(f32::NAN);
    }
    let results = forward_and_backward(&operands, &[whole(0, 200)], &shape);
    for data in [&results.y, &results.lse, &results.dq, &results.dk, &results.dv] {
        let width = data.len() / 200;
        assert!(data[136 * width..].iter().all(|x| x.is_finite()));
    }
}

#[test]
fn a_window_counts_positions_from_the_start_of_the_prefix() {
    // A completion of 3 rows after a prefix of 4, window 5: its last row, at position 6, sees positions 2 to 6.
    let shape = Shape { window: Some(5), ..plain(1, 1, 3, 0.0) };
    let mut operands = Operands::new(9, &shape);
    operands.v = (0..9).flat_map(|row| [10.0_f32.powi(row), 0.0, 0.0]).collect();
    // Rows 4 and 5 are another completion, which none of the others sees.
    let segments = layout(&[(4, 0, 0), (2, 0, 4), (3, 0, 4)]);
    let results = forward_and_backward(&operands, &segments, &shape);
    let mean = (1e2 + 1e3 + 1e6 + 1e7 + 1e8) / 5.0;
    assert_close(&results.y[8 * 3..], &[mean, 0.0, 0.0], 1e-6);
}

#[test]
fn large_scores_do_not_overflow() {
    let shape = plain(1, 1, 2, 1.0);
    let operands = Operands {
        q: vec![300.0, 0.0, 300.0, 0.0],
        k: vec![1.0, 0.0, -1.0, 0.0],
        v: vec![5.0, 6.0, 7.0, 8.0],
        dy: vec![1.0; 4],
    };
    let results = forward_and_backward(&operands, &[whole(0, 2)], &shape);
    assert_eq!(results.y, [5.0, 6.0, 5.0, 6.0]);
    assert_eq!(results.lse, [300.0, 300.0]);
    assert!(results.dq.iter().chain(&results.dk).chain(&results.dv).all(|x| x.is_finite()));
}

#[test]
#[should_panic(expected = "segments do not follow each other")]
fn a_gap_between_segments_is_refused() {
    let shape = &SHAPES[0];
    let operands = Operands::new(3, shape);
    forward_and_backward(&operands, &[whole(0, 1), whole(2, 2)], shape);
}

#[test]
fn same_bytes_on_any_number_of_threads() {
    let shape = &SHAPES[1];
    let parts: Vec<_> =
        (0..7).flat_map(|i| [(31, 81 * i, 0), (20, 81 * i, 31), (30, 81 * i, 31)]).collect();
    let segments = layout(&parts);
    let operands = Operands::new(rows_of(&segments), shape);
    assert_same_on_any_number_of_threads(|| {
        let Results { y, lse, dq, dk, dv } = forward_and_backward(&operands, &segments, shape);
        [y, lse, dq, dk, dv].concat()
    });
}

/// Two prompts with two completions each, a sequence alone, and a prompt without a completion at the end.
#[test]
fn segments_are_cut_where_no_row_is_shared() {
    let segment =
        |start, len, prefix_start, prefix_len| Segment { start, len, prefix_start, prefix_len };
    let pair = |start| {
        [segment(start, 4, 0, 0), segment(start + 4, 2, start, 4), segment(start + 6, 3, start, 4)]
    };
    let alone = [segment(9, 5, 0, 0), segment(23, 1, 0, 0)];
    let segments = [&pair(0)[..], &alone[..1], &pair(14)[..], &alone[1..]].concat();
    let lens: Vec<usize> = tile::families(&segments).iter().map(|family| family.len()).collect();
    assert_eq!(lens, [3, 1, 3, 1]);
    assert!(tile::apart(&segments[..3]).is_none());
}
