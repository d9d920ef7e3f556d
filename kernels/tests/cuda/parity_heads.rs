//! What works on heads: attention over packed rows, and of one new token against its cache.

use super::{blank, down, up};
use crate::support::{assert_close, random, random_ids, tolerance};
use kernels::attention::{Segment, Shape as Heads};
use kernels::cuda::{Device, Ids, Real};
use kernels::{attention, decode};
use lossbox_kernels as kernels;

/// Two families: a prompt with two completions, one of them read by a third, and a lone sequence.
const SEGMENTS: [Segment; 5] = [
    Segment { start: 0, len: 9, prefix_start: 0, prefix_len: 0 },
    Segment { start: 9, len: 5, prefix_start: 0, prefix_len: 9 },
    Segment { start: 14, len: 3, prefix_start: 2, prefix_len: 6 },
    Segment { start: 17, len: 4, prefix_start: 0, prefix_len: 12 },
    Segment { start: 21, len: 13, prefix_start: 0, prefix_len: 0 },
];

/// The same with runs of two tiles of 64 rows: the second has a single row, and the first run's last step a single key.
/// No row of the third sees the first rows through a window, those of the fourth do.
const LONG: [Segment; 4] = [
    Segment { start: 0, len: 65, prefix_start: 0, prefix_len: 0 },
    Segment { start: 65, len: 65, prefix_start: 0, prefix_len: 65 },
    Segment { start: 130, len: 17, prefix_start: 3, prefix_len: 124 },
    Segment { start: 147, len: 5, prefix_start: 0, prefix_len: 20 },
];

/// A run that is longer than what sees its first tile through a window of 18 or 34.
const LONE: [Segment; 1] = [Segment { start: 0, len: 98, prefix_start: 0, prefix_len: 0 }];

const HEADS: [Heads; 8] = [
    Heads { heads: 4, kv_heads: 2, head_dim: 64, scale: 0.125, softcap: None, window: None },
    Heads { heads: 2, kv_heads: 1, head_dim: 128, scale: 0.3, softcap: Some(2.0), window: None },
    Heads { heads: 1, kv_heads: 1, head_dim: 128, scale: 0.3, softcap: None, window: Some(66) },
    Heads { heads: 1, kv_heads: 1, head_dim: 8, scale: 0.35, softcap: None, window: None },
    Heads { heads: 6, kv_heads: 2, head_dim: 33, scale: 0.2, softcap: Some(0.7), window: None },
    Heads { heads: 2, kv_heads: 2, head_dim: 64, scale: 0.5, softcap: None, window: Some(4) },
    Heads { heads: 3, kv_heads: 3, head_dim: 100, scale: 0.1, softcap: None, window: None },
    Heads { heads: 4, kv_heads: 1, head_dim: 256, scale: 0.1, softcap: Some(1.5), window: Some(1) },
];

/// Heads for tensor cores. The windows are such that the last query which sees a tile of keys begins a step of its own.
const TILED: [Heads; 4] = [
    Heads { heads: 4, kv_heads: 2, head_dim: 64, scale: 0.125, softcap: None, window: None },
    Heads { heads: 2, kv_heads: 1, head_dim: 128, scale: 0.3, softcap: Some(2.0), window: None },
    Heads { heads: 1, kv_heads: 1, head_dim: 128, scale: 0.3, softcap: None, window: Some(18) },
    Heads { heads: 3, kv_heads: 1, head_dim: 64, scale: 0.5, softcap: Some(1.5), window: Some(34) },
];

/// Families by chance, the same for a seed: prompts, each with up to three completions that read a part of it.
fn random_segments(seed: u64) -> Vec<Segment> {
    let mut sizes = random_ids(64, 80, seed).into_iter().map(|size| size as usize);
    let mut size = || sizes.next().expect("fewer are drawn");
    let mut segments: Vec<Segment> = Vec::new();
    let end = |segments: &[Segment]| segments.last().map_or(0, |last| last.start + last.len);
    for _ in 0..3 {
        let (prompt, len) = (end(&segments), 1 + size());
        segments.push(Segment { start: prompt, len, prefix_start: 0, prefix_len: 0 });
        for _ in 0..size() % 4 {
            let first = size() % len;
            let (start, prefix_start) = (end(&segments), prompt + first);
            let prefix_len = 1 + size() % (len - first);
            segments.push(Segment { start, len: 1 + size(), prefix_start, prefix_len });
        }
    }
    segments
}

/// Heads and windows by chance, of any width or, for tensor cores, of theirs.
fn random_heads(seed: u64, tiled: bool) -> Heads {
    let drawn = random_ids(6, 1000, seed);
    let [groups, kv_heads, any, choice, window, cap] = std::array::from_fn(|i| drawn[i] as usize);
    let kv_heads = 1 + kv_heads % 2;
    Heads {
        heads: kv_heads * (1 + groups % 3),
        kv_heads,
        head_dim: if tiled { [64, 128][choice % 2] } else { 1 + any % 70 },
        scale: 0.2,
        softcap: (cap % 2 == 0).then_some(1.5),
        window: (window % 2 == 0).then_some(2 + window % 90),
    }
}

/// Over runs of several tiles.
pub(super) fn check_tiles<R: Real>(device: &Device) {
    check_passes::<R>(device, &LONG, TILED);
    check_passes::<R>(device, &LONE, TILED);
    (1..4).for_each(|seed| {
        check_passes::<R>(device, &random_segments(seed), [random_heads(seed, true)]);
    });
}

pub(super) fn check_attention<R: Real>(device: &Device) {
    check_passes::<R>(device, &SEGMENTS, HEADS);
    (4..7).for_each(|seed| {
        check_passes::<R>(device, &random_segments(seed), [random_heads(seed, false)]);
    });
}

/// Forward and backward.
fn check_passes<R: Real>(
    device: &Device,
    segments: &[Segment],
    shapes: impl IntoIterator<Item = Heads>,
) {
    for shape in shapes {
        let rows: usize = segments.iter().map(|segment| segment.len).sum();
        let (queries, keys) =
            (rows * shape.heads * shape.head_dim, rows * shape.kv_heads * shape.head_dim);
        let (q, k, v) = (random::<R>(queries, 1), random::<R>(keys, 2), random::<R>(keys, 3));
        let dy = random::<R>(queries, 4);
        let (q_there, k_there, v_there) =
            (up::<R>(device, &q), up::<R>(device, &k), up::<R>(device, &v));
        let dy_there = up::<R>(device, &dy);
        let segments_there = attention::cuda::Segments::upload(device, segments).unwrap();
        let [mut y_there, mut dq_there] = [(); 2].map(|()| blank::<R>(device, queries));
        let [mut dk_there, mut dv_there] = [(); 2].map(|()| blank::<R>(device, keys));
        let mut lse_there = blank::<f32>(device, rows * shape.heads);
        let (q_view, k_view, v_view) = (&q_there.as_view(), &k_there.as_view(), &v_there.as_view());
        let inputs = attention::cuda::Inputs { q: q_view, k: k_view, v: v_view };
        let (y_view, lse_view) = (&mut y_there.as_view_mut(), &mut lse_there.as_view_mut());
        attention::cuda::forward(device, y_view, lse_view, inputs, &segments_there, &shape)
            .unwrap();
        let gradients = attention::cuda::Gradients {
            dq: &mut dq_there.as_view_mut(),
            dk: &mut dk_there.as_view_mut(),
            dv: &mut dv_there.as_view_mut(),
        };
        let outputs = attention::cuda::Outputs { y: &y_there.as_view(), lse: &lse_there.as_view() };
        attention::cuda::backward(
            device,
            gradients,
            &dy_there.as_view(),
            outputs,
            inputs,
            &segments_there,
            &shape,
        )
        .unwrap();

        let inputs = attention::Inputs { q: &q, k: &k, v: &v };
        let (mut y, mut lse) = (vec![0.0; queries], vec![0.0; rows * shape.heads]);
        attention::forward(&mut y, &mut lse, inputs, segments, &shape);
        assert_close("y", &down(device, &y_there), &y, tolerance::<R>());
        assert_close("lse", &down(device, &lse_there), &lse, 1e-5);
        // Backward reads y as the device stores it.
        let y = down(device, &y_there);
        let [mut dq, mut dk, mut dv] = [vec![0.0; queries], vec![0.0; keys], vec![0.0; keys]];
        let gradients = attention::Gradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
        let outputs = attention::Outputs { y: &y, lse: &lse };
        attention::backward(gradients, &dy, outputs, inputs, segments, &shape);
        if shape.window != Some(1) {
            // A row that sees itself alone has no gradient but rounding.
            assert_close("dq", &down(device, &dq_there), &dq, tolerance::<R>());
            assert_close("dk", &down(device, &dk_there), &dk, tolerance::<R>());
        }
        assert_close("dv", &down(device, &dv_there), &dv, tolerance::<R>());
    }
}

pub(super) fn check_decoding<R: Real>(device: &Device) {
    // The last sequence ends where its cache does.
    let (lengths, capacity) = ([0, 1, 5, 3, 7], 7);
    let sequences = lengths.len();
    for shape in HEADS {
        let width = shape.kv_heads * shape.head_dim;
        let q = random::<R>(sequences * shape.heads * shape.head_dim, 1);
        let (mut k, v) = (
            random::<R>(sequences * capacity * width, 2),
            random::<R>(sequences * capacity * width, 3),
        );
        let rows = random::<R>(sequences * width, 4);
        let positions = [0, 0, 4, 2, 6];
        let (q_there, v_there) = (up::<R>(device, &q), up::<R>(device, &v));
        let (mut k_there, rows_there) = (up::<R>(device, &k), up::<R>(device, &rows));
        let mut y_there = blank::<R>(device, q.len());
        let checked = Ids::upload(device, &positions, capacity).unwrap();
        decode::cuda::append(
            device,
            &mut k_there.as_view_mut(),
            &rows_there.as_view(),
            &checked,
            capacity,
        )
        .unwrap();
        let checked = Ids::upload(device, &lengths, capacity + 1).unwrap();
        let cache = decode::cuda::Cache { k: &k_there.as_view(), v: &v_there.as_view(), capacity };
        let y_view = &mut y_there.as_view_mut();
        decode::cuda::forward(device, y_view, &q_there.as_view(), cache, &checked, &shape).unwrap();

        decode::append(&mut k, &rows, &positions, capacity);
        let mut y = vec![0.0; q.len()];
        decode::forward(&mut y, &q, decode::Cache { k: &k, v: &v, capacity }, &lengths, &shape);
        assert_close("cache", &down(device, &k_there), &k, 0.0);
        assert_close("y", &down(device, &y_there), &y, tolerance::<R>());
    }
}
