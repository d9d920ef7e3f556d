//! Where a training step's time goes: `cargo bench -p lossbox-kernels --bench step`.
//!
//! Every operation of a GPT-2 step on preference pairs at three sizes, on one thread and on two, beside a 1024³
//! product of the same run. A pair is a shared prompt of half a sequence and two completions. The table says, per
//! operation, how often a step runs it, the milliseconds of all these runs (best of many) and, for products, the useful
//! arithmetic per second as a share of the 1024³ product's. An argument selects sizes: `-- ii`. Not a test: nothing
//! here can fail.

use lossbox_kernels::activation::{self, Activation};
use lossbox_kernels::attention::{self, Gradients, Inputs, Outputs, Segment};
use lossbox_kernels::{Write, adamw, bias, embedding, layernorm, logprob, matmul, residual};
use std::time::{Duration, Instant};

struct Size {
    name: &'static str,
    layers: usize,
    width: usize,
    heads: usize,
    vocabulary: usize,
    tokens: usize,
    pairs: usize,
}

const SIZES: [Size; 3] = [
    Size { name: "i", layers: 4, width: 128, heads: 4, vocabulary: 2048, tokens: 64, pairs: 16 },
    Size { name: "ii", layers: 6, width: 384, heads: 6, vocabulary: 4096, tokens: 128, pairs: 8 },
    Size {
        name: "iii",
        layers: 12,
        width: 768,
        heads: 12,
        vocabulary: 50_257,
        tokens: 128,
        pairs: 2,
    },
];

impl Size {
    /// Prompts of T/2 tokens, completions of T/2 of which the last predicts nothing.
    fn segments(&self) -> Vec<Segment> {
        let (prompt, completion) = (self.tokens / 2, self.tokens / 2 - 1);
        let pair = |i: usize| {
            let start = i * (prompt + 2 * completion);
            let first = start + prompt;
            let whole = Segment { start, len: prompt, prefix_start: 0, prefix_len: 0 };
            let after = |start| Segment {
                start,
                len: completion,
                prefix_start: whole.start,
                prefix_len: prompt,
            };
            [whole, after(first), after(first + completion)]
        };
        (0..self.pairs).flat_map(pair).collect()
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    for size in
        SIZES.iter().filter(|size| wanted.is_empty() || wanted.iter().any(|w| w == size.name))
    {
        let tables = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be started").install(|| measure(size))
        });
        print(size, &tables);
    }
}

/// One operation of a step.
struct Row {
    name: &'static str,
    /// Runs per step.
    count: usize,
    /// Useful floating-point operations of one run; 0 where memory is what counts.
    flops: usize,
    seconds: f64,
}

struct Table {
    /// Of a 1024³ product, FLOP/s.
    peak: f64,
    rows: Vec<Row>,
}

impl Table {
    fn time(&mut self, name: &'static str, count: usize, flops: usize, work: impl FnMut()) {
        self.rows.push(Row { name, count, flops, seconds: best(work) });
    }
}

/// The shortest of at least 5 runs and of all that fit into 0.3 s, after one that is not counted.
fn best(mut work: impl FnMut()) -> f64 {
    work();
    let (begin, mut best, mut runs) = (Instant::now(), Duration::MAX, 0);
    while runs < 5 || begin.elapsed() < Duration::from_millis(300) {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed());
        runs += 1;
    }
    best.as_secs_f64()
}

/// Uneven numbers in (−1, 1).
fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as f64 * 0.618_033_988_75).fract() * 2.0 - 1.0) as f32).collect()
}

fn measure(size: &Size) -> Table {
    let mut table = Table { peak: 0.0, rows: Vec::new() };
    let cube = matmul::Shape { rows: 1024, inputs: 1024, outputs: 1024 };
    let (a, b, mut c) = (numbers(1 << 20), numbers(1 << 20), vec![0.0; 1 << 20]);
    table.peak =
        (2_u64 << 30) as f64 / best(|| matmul::forward(&mut c, &a, &b, cube, Write::Overwrite));
    linears(&mut table, size);
    attentions(&mut table, size);
    element_wise(&mut table, size);
    head(&mut table, size);
    optimiser(&mut table, size);
    table
}

fn rows_of(size: &Size) -> usize {
    size.segments().iter().map(|segment| segment.len).sum()
}

fn linears(table: &mut Table, size: &Size) {
    let (rows, d) = (rows_of(size), size.width);
    let layers = [
        ("q k v o forward", "q k v o dx", "q k v o dw", 4, d, d),
        ("up forward", "up dx", "up dw", 1, d, 4 * d),
        ("down forward", "down dx", "down dw", 1, 4 * d, d),
    ];
    for (forward, dx, dw, count, inputs, outputs) in layers {
        let shape = matmul::Shape { rows, inputs, outputs };
        let (mut x, mut w, mut y) =
            (numbers(rows * inputs), numbers(outputs * inputs), numbers(rows * outputs));
        let (flops, count) = (2 * rows * inputs * outputs, count * size.layers);
        table.time(forward, count, flops, || {
            matmul::forward(&mut y, &x, &w, shape, Write::Overwrite);
        });
        table.time(dx, count, flops, || {
            matmul::backward_input(&mut x, &y, &w, shape, Write::Overwrite);
        });
        table.time(dw, count, flops, || {
            matmul::backward_weight(&mut w, &y, &x, shape, Write::Overwrite);
        });
    }
}

fn attentions(table: &mut Table, size: &Size) {
    let (segments, rows) = (size.segments(), rows_of(size));
    let head_dim = size.width / size.heads;
    let shape = attention::Shape {
        heads: size.heads,
        kv_heads: size.heads,
        head_dim,
        scale: 1.0 / (head_dim as f32).sqrt(),
        softcap: None,
        window: None,
    };
    let n = rows * size.width;
    let (q, k, v, dy) = (numbers(n), numbers(n), numbers(n), numbers(n));
    let (mut y, mut lse) = (numbers(n), numbers(rows * size.heads));
    let (mut dq, mut dk, mut dv) = (numbers(n), numbers(n), numbers(n));
    let inputs = Inputs { q: &q, k: &k, v: &v };
    // Of the visible pairs of query and key alone: two products forward, five backward.
    let seen = |s: &Segment| s.len * s.prefix_len + s.len * (s.len + 1) / 2;
    let product = 2 * segments.iter().map(seen).sum::<usize>() * size.width;
    table.time("attention forward", size.layers, 2 * product, || {
        attention::forward(&mut y, &mut lse, inputs, &segments, &shape);
    });
    table.time("attention backward", size.layers, 5 * product, || {
        let gradients = Gradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
        let outputs = Outputs { y: &y, lse: &lse };
        attention::backward(gradients, &dy, outputs, inputs, &segments, &shape);
    });
}

fn element_wise(table: &mut Table, size: &Size) {
    let (rows, d, layers) = (rows_of(size), size.width, size.layers);
    let (x, weight, shift) = (numbers(rows * d), numbers(d), numbers(d));
    let [mut y, mut dx] = [(); 2].map(|()| numbers(rows * d));
    let [mut mean, mut rstd] = [(); 2].map(|()| numbers(rows));
    let [mut dweight, mut dbias] = [(); 2].map(|()| numbers(d));
    let norms = 2 * layers + 1;
    table.time("layernorm forward", norms, 0, || {
        layernorm::forward(&mut y, &mut mean, &mut rstd, &x, &weight, &shift, 1e-5);
    });
    table.time("layernorm backward", norms, 0, || {
        let (dw, db, w) = (&mut dweight, &mut dbias, &weight);
        let (over, add) = (Write::Overwrite, Write::Accumulate);
        layernorm::backward(&mut dx, dw, db, &y, &x, &mean, &rstd, w, add, over);
    });
    dx = numbers(rows * d);
    table.time("residual", 2 * layers, 0, || residual::add(&mut y, &dx));
    y = numbers(rows * d);
    table.time("bias forward, width", 5 * layers, 0, || bias::forward(&mut y, &weight));
    table.time("bias backward, width", 5 * layers, 0, || {
        bias::backward(&mut dbias, &x, Write::Overwrite);
    });

    let [x, dy] = [(); 2].map(|()| numbers(rows * 4 * d));
    let [mut y, mut dx] = [(); 2].map(|()| numbers(rows * 4 * d));
    let (weight, mut dweight) = (numbers(4 * d), numbers(4 * d));
    table.time("gelu forward", layers, 0, || activation::forward(&mut y, &x, Activation::GeluTanh));
    table.time("gelu backward", layers, 0, || {
        activation::backward(&mut dx, &dy, &x, Activation::GeluTanh);
    });
    table.time("exact gelu forward", 0, 0, || activation::forward(&mut y, &x, Activation::Gelu));
    table.time("exact gelu backward", 0, 0, || {
        activation::backward(&mut dx, &dy, &x, Activation::Gelu);
    });
    table.time("bias forward, 4 widths", layers, 0, || bias::forward(&mut dx, &weight));
    table.time("bias backward, 4 widths", layers, 0, || {
        bias::backward(&mut dweight, &dy, Write::Overwrite);
    });
}

fn head(table: &mut Table, size: &Size) {
    let Size { width, vocabulary, .. } = *size;
    let rows = size.pairs * size.tokens;
    let shape = logprob::Shape { rows, width, vocabulary, softcap: None };
    // Logits of order one: probabilities that are not subnormal.
    let hidden = numbers(rows * width).iter().map(|x| x / width as f32).collect::<Vec<_>>();
    let (weight, dlogp) = (numbers(vocabulary * width), numbers(rows));
    let targets: Vec<u32> = (0..rows).map(|r| (r * 7919 % vocabulary) as u32).collect();
    let (mut logp, mut lse, mut kept) = (numbers(rows), numbers(rows), Vec::new());
    let (mut dhidden, mut dhead) = (numbers(rows * width), numbers(vocabulary * width));
    let inputs = logprob::Inputs { hidden: &hidden, head: &weight, targets: &targets };
    let product = 2 * rows * width * vocabulary;
    table.time("head forward", 1, product, || {
        logprob::forward(&mut logp, &mut lse, Some(&mut kept), inputs, shape);
    });
    // Backward uses the logits up: what it costs is both together less forward.
    let forward = table.rows[table.rows.len() - 1].seconds;
    table.time("head backward", 1, 2 * product, || {
        logprob::forward(&mut logp, &mut lse, Some(&mut kept), inputs, shape);
        let over = Write::Overwrite;
        logprob::backward(&mut dhidden, &mut dhead, &dlogp, &lse, &mut kept, inputs, shape, over);
    });
    let last = table.rows.len() - 1;
    table.rows[last].seconds -= forward;
    let ids: Vec<u32> = (0..rows_of(size)).map(|r| (r * 7919 % vocabulary) as u32).collect();
    let mut y = numbers(ids.len() * width);
    table.time("embedding forward", 2, 0, || {
        embedding::forward(&mut y, &weight, &ids, width, Write::Overwrite);
    });
    table.time("embedding backward", 2, 0, || {
        embedding::backward(&mut dhead, &y, &ids, width, Write::Accumulate);
    });
}

fn optimiser(table: &mut Table, size: &Size) {
    let n = size.vocabulary * size.width + size.layers * 12 * size.width * size.width;
    let (mut parameters, gradients) = (numbers(n), numbers(n));
    let (mut first, mut second) = (vec![0.0; n], vec![0.0; n]);
    let settings = adamw::Settings { learning_rate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let groups = [adamw::Group { range: 0..n, weight_decay: 0.01 }];
    table.time("adamw (apart)", 0, 0, || {
        let moments = adamw::Moments { first: &mut first, second: &mut second };
        adamw::step(&mut parameters, moments, &gradients, 1.0, 10, &settings, &groups);
    });
}

fn print(size: &Size, tables: &[Table; 2]) {
    let Size { name, layers, width, tokens, pairs, .. } = size;
    println!("\n{name}: {layers} layers, width {width}, {pairs} pairs of {tokens} tokens");
    let peaks = tables.each_ref().map(|table| format!("{:.1}", table.peak / 1e9));
    println!("1024³ product: {} / {} GFLOP/s on 1 / 2 threads", peaks[0], peaks[1]);
    println!("{:>24} {:>4} {:>9} {:>6} {:>9} {:>6}", "", "runs", "1: ms", "peak", "2: ms", "peak");
    for (i, row) in tables[0].rows.iter().enumerate() {
        let cells = tables.each_ref().map(|table| {
            let Row { count, flops, seconds, .. } = table.rows[i];
            let ms = 1e3 * seconds * count.max(1) as f64;
            (ms, share(flops as f64 / seconds / table.peak))
        });
        let [(one, one_share), (two, two_share)] = &cells;
        let Row { name, count, .. } = row;
        println!("{name:>24} {count:>4} {one:>9.2} {one_share:>6} {two:>9.2} {two_share:>6}");
    }
    let totals = tables.each_ref().map(|table| {
        let sum = |f: &dyn Fn(&Row) -> f64| table.rows.iter().map(f).sum::<f64>();
        let seconds = sum(&|row| row.seconds * row.count as f64);
        let flops = sum(&|row| (row.flops * row.count) as f64);
        (1e3 * seconds, share(flops / seconds / table.peak), flops)
    });
    let [(one, one_share, flops), (two, two_share, _)] = &totals;
    println!(
        "{:>24} {:>4} {one:>9.2} {one_share:>6} {two:>9.2} {two_share:>6}   {:.1} GFLOP",
        "forward and backward",
        "",
        flops / 1e9
    );
}

fn share(of_peak: f64) -> String {
    if of_peak > 0.0 { format!("{:.0} %", 100.0 * of_peak) } else { String::new() }
}
