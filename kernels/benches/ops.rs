//! Speed of every operation at the shapes that lossbox runs: `cargo bench -p lossbox-kernels`.
//!
//! `small` is the default task's model (width 128, four heads, two key and value heads, feed-forward 352,
//! vocabulary 2,048) on a training step of 24 pairs; `gpt2` is GPT-2's width 768 and vocabulary 50,257.
//! Products report elements as floating-point operations (1 Gelem/s = 1 GFLOP/s), the others bytes read and
//! written. Threads are rayon's: set `RAYON_NUM_THREADS`. Not a test: nothing here can fail.

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use lossbox_kernels::activation::Activation;
use lossbox_kernels::attention::{Gradients, Inputs, Outputs, Segment};
use lossbox_kernels::{
    Write, adamw, attention, clip, decode, embedding, gated, kl, logprob, matmul, residual,
    rmsnorm, rope, sample,
};
use std::time::Duration;

/// Rows of a training step of the default task: 24 pairs of a prompt of 6 tokens and two completions of 48.
const PAIRS: usize = 24;
const PROMPT: usize = 6;
const COMPLETION: usize = 48;
const ROWS: usize = PAIRS * (PROMPT + 2 * COMPLETION);
/// Sequences that are sampled at once.
const SEQUENCES: usize = 384;
const VOCABULARY: usize = 2048;
const WIDTH: usize = 128;
const FEED_FORWARD: usize = 352;
const SMALL: attention::Shape = attention::Shape {
    heads: 4,
    kv_heads: 2,
    head_dim: 32,
    scale: 0.176_776_7,
    softcap: None,
    window: None,
};
const GPT2: attention::Shape = attention::Shape {
    heads: 12,
    kv_heads: 12,
    head_dim: 64,
    scale: 0.125,
    softcap: None,
    window: None,
};

fn bench(c: &mut Criterion) {
    matmuls(c);
    attentions(c);
    vocabularies(c);
    element_wise(c);
    optimiser(c);
}

/// Uneven numbers in (−1, 1).
fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as f64 * 0.618_033_988_75).fract() * 2.0 - 1.0) as f32).collect()
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400));
    group
}

/// Times `work` inside rayon's pool, as a trainer calls it.
fn time(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    throughput: Throughput,
    mut work: impl FnMut() + Send,
) {
    group.throughput(throughput);
    group.bench_function(name, |b| rayon::scope(|_| b.iter(&mut work)));
}

fn flops(n: usize) -> Throughput {
    Throughput::Elements(n as u64)
}

/// Bytes of so many `f32`.
fn floats(n: usize) -> Throughput {
    Throughput::Bytes(4 * n as u64)
}

fn matmuls(c: &mut Criterion) {
    let shapes = [
        ("small q", ROWS, WIDTH, WIDTH),
        ("small kv", ROWS, WIDTH, 64),
        ("small up", ROWS, WIDTH, FEED_FORWARD),
        ("small down", ROWS, FEED_FORWARD, WIDTH),
        ("small decode q", SEQUENCES, WIDTH, WIDTH),
        ("small decode up", SEQUENCES, WIDTH, FEED_FORWARD),
        ("small decode head", SEQUENCES, WIDTH, VOCABULARY),
        ("gpt2 square", 512, 768, 768),
        ("gpt2 up", 512, 768, 3072),
    ];
    let mut group = group(c, "matmul");
    for (name, rows, inputs, outputs) in shapes {
        let shape = matmul::Shape { rows, inputs, outputs };
        let (mut x, mut w, mut y) =
            (numbers(rows * inputs), numbers(outputs * inputs), numbers(rows * outputs));
        let work = flops(2 * rows * inputs * outputs);
        time(&mut group, &format!("{name} forward"), work.clone(), || {
            matmul::forward(&mut y, &x, &w, shape, Write::Overwrite)
        });
        if name.contains("decode") {
            continue;
        }
        time(&mut group, &format!("{name} backward input"), work.clone(), || {
            matmul::backward_input(&mut x, &y, &w, shape, Write::Overwrite);
        });
        x = numbers(rows * inputs);
        time(&mut group, &format!("{name} backward weight"), work, || {
            matmul::backward_weight(&mut w, &y, &x, shape, Write::Overwrite)
        });
    }
}

fn attentions(c: &mut Criterion) {
    let mut group = group(c, "attention");
    let mut pairs = Vec::new();
    for start in (0..ROWS).step_by(PROMPT + 2 * COMPLETION) {
        pairs.push(Segment { start, len: PROMPT, prefix_start: 0, prefix_len: 0 });
        for completion in [start + PROMPT, start + PROMPT + COMPLETION] {
            pairs.push(Segment {
                start: completion,
                len: COMPLETION,
                prefix_start: start,
                prefix_len: PROMPT,
            });
        }
    }
    let whole: Vec<_> = (0..4)
        .map(|i| Segment { start: 128 * i, len: 128, prefix_start: 0, prefix_len: 0 })
        .collect();
    for (name, segments, shape) in [("small", pairs, SMALL), ("gpt2", whole, GPT2)] {
        let rows: usize = segments.iter().map(|segment| segment.len).sum();
        let (n_q, n_kv) =
            (rows * shape.heads * shape.head_dim, rows * shape.kv_heads * shape.head_dim);
        let (q, k, v, dy) = (numbers(n_q), numbers(n_kv), numbers(n_kv), numbers(n_q));
        let (mut y, mut lse) = (numbers(n_q), numbers(rows * shape.heads));
        let (mut dq, mut dk, mut dv) = (numbers(n_q), numbers(n_kv), numbers(n_kv));
        let inputs = Inputs { q: &q, k: &k, v: &v };
        // Of the visible pairs of query and key alone: two products forward, five backward.
        let visible: usize =
            segments.iter().map(|s| s.len * s.prefix_len + s.len * (s.len + 1) / 2).sum();
        let product = 2 * visible * shape.heads * shape.head_dim;
        time(&mut group, &format!("{name} forward"), flops(2 * product), || {
            attention::forward(&mut y, &mut lse, inputs, &segments, &shape);
        });
        time(&mut group, &format!("{name} backward"), flops(5 * product), || {
            let gradients = Gradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
            attention::backward(
                gradients,
                &dy,
                Outputs { y: &y, lse: &lse },
                inputs,
                &segments,
                &shape,
            );
        });
    }

    let (capacity, length) = (64, 48_usize);
    let width = SMALL.heads * SMALL.head_dim;
    let cached = SEQUENCES * capacity * SMALL.kv_heads * SMALL.head_dim;
    let (k, v, q, mut y) =
        (numbers(cached), numbers(cached), numbers(SEQUENCES * width), numbers(SEQUENCES * width));
    let lengths = vec![length as u32; SEQUENCES];
    let read = floats(2 * SEQUENCES * length * SMALL.kv_heads * SMALL.head_dim);
    time(&mut group, "small decode", read, || {
        decode::forward(&mut y, &q, decode::Cache { k: &k, v: &v, capacity }, &lengths, &SMALL);
    });
}

fn vocabularies(c: &mut Criterion) {
    let mut group = group(c, "vocabulary");
    for (name, rows, width, vocabulary) in
        [("small", 2 * PAIRS * COMPLETION, WIDTH, VOCABULARY), ("gpt2", 256, 768, 50_257)]
    {
        let shape = logprob::Shape { rows, width, vocabulary, softcap: None };
        let (hidden, head, dlogp) =
            (numbers(rows * width), numbers(vocabulary * width), numbers(rows));
        let targets: Vec<u32> = (0..rows).map(|r| (r * 7919 % vocabulary) as u32).collect();
        let (mut logp, mut lse, mut kept) = (numbers(rows), numbers(rows), Vec::new());
        let (mut dhidden, mut dhead) = (numbers(rows * width), numbers(vocabulary * width));
        let inputs = logprob::Inputs { hidden: &hidden, head: &head, targets: &targets };
        let product = 2 * rows * width * vocabulary;
        time(&mut group, &format!("{name} logprob forward"), flops(product), || {
            logprob::forward(&mut logp, &mut lse, None, inputs, shape);
        });
        time(&mut group, &format!("{name} logprob backward"), flops(3 * product), || {
            let write = Write::Overwrite;
            logprob::backward(
                &mut dhidden,
                &mut dhead,
                &dlogp,
                &lse,
                &mut kept,
                inputs,
                shape,
                write,
            );
        });
    }

    let (p, q) = (numbers(SEQUENCES * VOCABULARY), numbers(SEQUENCES * VOCABULARY + 1));
    let (mut ids, mut logp, mut divergence) =
        (vec![0; SEQUENCES], numbers(SEQUENCES), numbers(SEQUENCES));
    let uniforms: Vec<f64> = numbers(SEQUENCES).iter().map(|&x| f64::from(x).abs()).collect();
    time(&mut group, "small sample", floats(p.len()), || {
        sample::categorical(&mut ids, &mut logp, &p, &uniforms, VOCABULARY);
    });
    time(&mut group, "small kl", floats(2 * p.len()), || {
        kl::divergence(&mut divergence, &p, &q[1..], VOCABULARY)
    });
}

fn element_wise(c: &mut Criterion) {
    let mut group = group(c, "element-wise");
    for (name, rows, width, inner) in
        [("small", ROWS, WIDTH, FEED_FORWARD), ("gpt2", 512, 768, 3072)]
    {
        let (mut x, mut y, mut dx) =
            (numbers(rows * width), numbers(rows * width), numbers(rows * width));
        let (weight, mut dweight, mut rstd) = (numbers(width), numbers(width), numbers(rows));
        let n = rows * width;
        time(&mut group, &format!("{name} rmsnorm forward"), floats(2 * n), || {
            rmsnorm::forward(&mut y, &mut rstd, &x, &weight, 1e-5, 0.0);
        });
        time(&mut group, &format!("{name} rmsnorm backward"), floats(4 * n), || {
            rmsnorm::backward(
                &mut dx,
                &mut dweight,
                &y,
                &x,
                &weight,
                &rstd,
                0.0,
                Write::Accumulate,
                Write::Overwrite,
            );
        });
        dx = numbers(n);
        time(&mut group, &format!("{name} residual"), floats(3 * n), || residual::add(&mut y, &dx));
        let positions: Vec<u32> = (0..rows).map(|r| (r % 100) as u32).collect();
        let table = rope::Table::new(128, 32, 10_000.0);
        time(&mut group, &format!("{name} rope"), floats(2 * n), || {
            rope::forward(&mut x, &positions, &table)
        });
        let ids: Vec<u32> = (0..rows).map(|r| (r * 7919 % VOCABULARY) as u32).collect();
        let mut embeddings = numbers(VOCABULARY * width);
        time(&mut group, &format!("{name} embedding forward"), floats(2 * n), || {
            embedding::forward(&mut y, &embeddings, &ids, width, Write::Overwrite);
        });
        time(&mut group, &format!("{name} embedding backward"), floats(3 * n), || {
            embedding::backward(&mut embeddings, &dx, &ids, width, Write::Accumulate);
        });
        let n = rows * inner;
        let [mut y, mut dgate, mut dup] = [(); 3].map(|()| numbers(n));
        let (gate, up) = (numbers(n), numbers(n));
        time(&mut group, &format!("{name} gated forward"), floats(3 * n), || {
            gated::forward(&mut y, &gate, &up, Activation::Silu)
        });
        time(&mut group, &format!("{name} gated backward"), floats(5 * n), || {
            gated::backward(&mut dgate, &mut dup, &y, &gate, &up, Activation::Silu);
        });
    }
}

fn optimiser(c: &mut Criterion) {
    let mut group = group(c, "optimiser");
    for (name, n) in [("small", 1_000_576), ("gpt2", 20_000_000)] {
        let (mut parameters, gradients) = (numbers(n), numbers(n));
        let (mut first, mut second) = (vec![0.0; n], vec![0.0; n]);
        let settings =
            adamw::Settings { learning_rate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        let groups = [adamw::Group { range: 0..n, weight_decay: 0.01 }];
        time(&mut group, &format!("{name} adamw"), floats(7 * n), || {
            let moments = adamw::Moments { first: &mut first, second: &mut second };
            adamw::step(&mut parameters, moments, &gradients, 1.0, 10, &settings, &groups);
        });
        time(&mut group, &format!("{name} norm"), floats(n), || {
            std::hint::black_box(clip::global_norm(&gradients));
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
