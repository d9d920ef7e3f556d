//! Every operation on a device against the CPU's, on odd shapes, as f32 and as bf16.
//!
//! Inputs are rounded to the stored number first, so that both compute from the same. The tests are in `agree.rs`.

#[path = "parity_heads.rs"]
mod heads;

use crate::norms::{check_layernorm, check_rmsnorm};
use crate::support::{assert_close, random, random_ids, random_shapes, tolerance};
use crate::{layers, pass};
use heads::{check_attention, check_decoding, check_tiles};
use kernels::Write::{self, Accumulate, Overwrite};
use kernels::activation::Activation;
use kernels::cuda::{Bf16, Buffer, Device, Ids, Real};
use kernels::{activation, adamw, bias, clip, embedding, gated, logprob, matmul, residual, rope};
use lossbox_kernels as kernels;

/// An operation's check, for either stored number; it panics where they differ.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// The sources whose kernels it launches.
    pub(crate) files: &'static [&'static str],
    pub(crate) f32: fn(&Device),
    /// `None` where nothing is stored as a real.
    pub(crate) bf16: Option<fn(&Device)>,
}

macro_rules! check {
    ($name:literal, $files:expr, $check:ident) => {
        Check { name: $name, files: &$files, f32: $check::<f32>, bf16: Some($check::<Bf16>) }
    };
}

/// All of them.
pub(crate) const CHECKS: [Check; 21] = [
    check!("embedding_agrees", ["embedding.cu"], check_embedding),
    check!(
        "residual_and_bias_agree",
        ["residual.cu", "bias.cu", "partials.cu"],
        check_residual_and_bias
    ),
    check!("rmsnorm_agrees", ["rmsnorm.cu", "partials.cu"], check_rmsnorm),
    check!("layernorm_agrees", ["layernorm.cu", "partials.cu"], check_layernorm),
    check!("rope_agrees", ["rope.cu"], check_rope),
    check!("activations_agree", ["activation.cu", "gated.cu"], check_activations),
    check!("attention_over_tiles_agrees", ["tensor.cu", "tensor_backward.cu"], check_tiles),
    check!(
        "attention_agrees",
        ["attention.cu", "tensor.cu", "tensor_backward.cu"],
        check_attention
    ),
    check!("decoding_agrees", ["decode.cu"], check_decoding),
    check!("products_agree", [], check_products),
    check!("log_probs_agree", ["logprob.cu"], check_log_probs),
    check!("adamw_agrees", ["adamw.cu"], check_adamw),
    Check { name: "the_norm_agrees_and_clips", files: &["clip.cu"], f32: check_norm, bf16: None },
    Check {
        name: "draws_agree",
        files: &["sample.cu", "logprob.cu"],
        f32: pass::check_draws,
        bf16: None,
    },
    Check {
        name: "statistics_agree_where_logits_tie_or_are_extreme",
        files: &["logprob.cu"],
        f32: pass::check_statistics,
        bf16: None,
    },
    Check {
        name: "sums_of_completions_agree",
        files: &["completion.cu"],
        f32: pass::check_sums,
        bf16: None,
    },
    Check {
        name: "linear_layers_agree",
        files: &["partials.cu"],
        f32: layers::check_linear::<f32>,
        bf16: Some(layers::check_linear::<Bf16>),
    },
    Check {
        name: "layers_with_gelu_agree",
        files: &["partials.cu"],
        f32: layers::check_gelu::<f32>,
        bf16: Some(layers::check_gelu::<Bf16>),
    },
    Check {
        name: "gradients_of_gathered_rows_agree",
        files: &["embedding.cu"],
        f32: pass::check_gathered_rows::<f32>,
        bf16: Some(pass::check_gathered_rows::<Bf16>),
    },
    Check {
        name: "scaling_agrees",
        files: &["embedding.cu"],
        f32: pass::check_scaling::<f32>,
        bf16: Some(pass::check_scaling::<Bf16>),
    },
    Check {
        name: "what_is_drawn_has_weight",
        files: &["sample.cu"],
        f32: pass::check_last_draws,
        bf16: None,
    },
];

const SHAPES: [(usize, usize); 8] =
    [(1, 1), (3, 7), (37, 5), (5, 33), (2, 600), (37, 130), (601, 64), (513, 270)];
/// Rows and widths: those at the limits of a kernel's loops, and others by chance.
pub(crate) fn shapes() -> impl Iterator<Item = (usize, usize)> {
    let by_chance = random_shapes(4, [40, 300]).into_iter().map(|[rows, width]| (rows, width));
    SHAPES.into_iter().chain(by_chance)
}

pub(crate) const WRITES: [Write; 2] = [Overwrite, Accumulate];

pub(crate) fn up<R: Real>(device: &Device, values: &[f32]) -> Buffer<R> {
    device.upload_many(values.iter().map(|&value| R::from(value))).unwrap()
}

/// What a kernel overwrites: NaN wherever it does not.
pub(crate) fn blank<R: Real>(device: &Device, len: usize) -> Buffer<R> {
    up(device, &vec![f32::NAN; len])
}

pub(crate) fn down<R: Real>(device: &Device, buffer: &Buffer<R>) -> Vec<f32> {
    device.download_reals(&buffer.as_view()).unwrap()
}

fn check_embedding<R: Real>(device: &Device) {
    let vocabulary = 11;
    for ((rows, width), write) in shapes().flat_map(|s| WRITES.map(|w| (s, w))) {
        let (table, ids) = (random::<R>(vocabulary * width, 1), random_ids(rows, vocabulary, 2));
        let (mut y, dy) = (random::<R>(rows * width, 3), random::<R>(rows * width, 4));
        let mut dtable = random::<f32>(vocabulary * width, 5);
        let mut on_device = (up::<R>(device, &y), up::<f32>(device, &dtable));
        let checked = Ids::upload(device, &ids, vocabulary).unwrap();
        let table_there = up::<R>(device, &table);
        let y_there = &mut on_device.0.as_view_mut();
        embedding::cuda::forward(device, y_there, &table_there.as_view(), &checked, width, write)
            .unwrap();
        // Then without one token, and without any.
        let dy_there = up::<R>(device, &dy);
        for except in [None, Some(ids[0])] {
            let groups = embedding::cuda::Groups::upload(device, &ids, vocabulary, except).unwrap();
            let dtable_there = &mut on_device.1.as_view_mut();
            embedding::cuda::backward(device, dtable_there, &dy_there.as_view(), &groups, width)
                .unwrap();
            let mut learnt = dy.clone();
            let rows = learnt.chunks_exact_mut(width).zip(&ids);
            rows.filter(|(_, id)| Some(**id) == except).for_each(|(row, _)| row.fill(0.0));
            embedding::backward(&mut dtable, &learnt, &ids, width, Accumulate);
        }

        embedding::forward(&mut y, &table, &ids, width, write);
        assert_close("y", &down(device, &on_device.0), &y, tolerance::<R>());
        assert_close("dtable", &down(device, &on_device.1), &dtable, 1e-5);
    }
}

fn check_residual_and_bias<R: Real>(device: &Device) {
    for (rows, width) in shapes() {
        let (mut y, other) = (random::<R>(rows * width, 1), random::<R>(rows * width, 2));
        let (b, mut db) = (random::<R>(width, 3), random::<f32>(width, 4));
        let (mut y_there, mut db_there) = (up::<R>(device, &y), up::<f32>(device, &db));
        let (b_there, other_there) = (up::<R>(device, &b), up::<R>(device, &other));
        residual::cuda::add(device, &mut y_there.as_view_mut(), &other_there.as_view()).unwrap();
        bias::cuda::forward(device, &mut y_there.as_view_mut(), &b_there.as_view()).unwrap();
        bias::cuda::backward(device, &mut db_there.as_view_mut(), &other_there.as_view()).unwrap();

        residual::add(&mut y, &other);
        // As the device stores it in between.
        y.iter_mut().for_each(|y| *y = R::from(*y).into());
        bias::forward(&mut y, &b);
        bias::backward(&mut db, &other, Accumulate);
        assert_close("y", &down(device, &y_there), &y, tolerance::<R>());
        assert_close("dbias", &down(device, &db_there), &db, 1e-5);
    }
}

fn check_rope<R: Real>(device: &Device) {
    let by_chance =
        random_shapes(4, [40, 6, 50]).into_iter().map(|[r, heads, half]| (r, heads, 2 * half));
    let fixed = [(1, 1, 2), (7, 3, 10), (33, 5, 64), (2, 9, 64)];
    for (rows, heads, head_dim) in fixed.into_iter().chain(by_chance) {
        let (x, positions) = (random::<R>(rows * heads * head_dim, 1), random_ids(rows, 50, 2));
        let table = rope::Table::new(50, head_dim, 10_000.0);
        let table_there = rope::cuda::Table::upload(device, &table).unwrap();
        let checked = Ids::upload(device, &positions, 50).unwrap();
        let (mut y_there, mut dx_there) = (up::<R>(device, &x), up::<R>(device, &x));
        rope::cuda::forward(device, &mut y_there.as_view_mut(), &checked, &table_there).unwrap();
        rope::cuda::backward(device, &mut dx_there.as_view_mut(), &checked, &table_there).unwrap();
        let (mut y, mut dx) = (x.clone(), x);
        rope::forward(&mut y, &positions, &table);
        rope::backward(&mut dx, &positions, &table);
        assert_close("y", &down(device, &y_there), &y, tolerance::<R>());
        assert_close("dx", &down(device, &dx_there), &dx, tolerance::<R>());
    }
}

fn check_activations<R: Real>(device: &Device) {
    let activations = [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];
    /// Where exponentials overflow, and where slopes jump.
    const EXTREMES: [f32; 11] =
        [-1024.0, -100.0, -89.0, -20.0, -0.0, 0.0, 0.125, 20.0, 89.0, 100.0, 1024.0];
    let sizes = [EXTREMES.len(), 1, 255, 257, 1000];
    for (f, n) in activations.into_iter().flat_map(|f| sizes.map(|n| (f, n))) {
        let x: Vec<f32> = match n == EXTREMES.len() {
            true => EXTREMES.to_vec(),
            false => random::<R>(n, 1).iter().map(|x| 8.0 * x).collect(),
        };
        check_activation::<R>(device, f, &x, None);
    }
    // One of all arrays is not where several numbers can be loaded or stored at once.
    let x: Vec<f32> = random::<R>(67, 1).iter().map(|x| 8.0 * x).collect();
    (0..6).for_each(|array| check_activation::<R>(device, Activation::GeluTanh, &x, Some(array)));
}

/// All four kernels of an activation. The memory of the array of this number begins one number too late.
fn check_activation<R: Real>(device: &Device, f: Activation, x: &[f32], late: Option<usize>) {
    let n = x.len();
    let (up_, dy) = (random::<R>(n, 2), random::<R>(n, 3));
    let from = |array| usize::from(late == Some(array));
    let there = |array, list: &[f32]| up::<R>(device, &[&[f32::NAN][..from(array)], list].concat());
    let unset = vec![f32::NAN; n];
    let (x_there, up_there, dy_there) = (there(0, x), there(1, &up_), there(2, &dy));
    let (mut y_there, mut dx_there, mut dup_there) =
        (there(3, &unset), there(4, &unset), there(5, &unset));
    let is = |what: &str, array, got: &Buffer<R>, expected: &[f32]| {
        assert_close(what, &down(device, got)[from(array)..], expected, tolerance::<R>());
    };
    let (x_view, up_view, dy_view) =
        (&x_there.slice(from(0)..), &up_there.slice(from(1)..), &dy_there.slice(from(2)..));
    let [mut y, mut dx, mut dup] = [(); 3].map(|()| vec![0.0; n]);
    activation::cuda::forward(device, &mut y_there.slice_mut(from(3)..), x_view, f).unwrap();
    activation::cuda::backward(device, &mut dx_there.slice_mut(from(4)..), dy_view, x_view, f)
        .unwrap();
    activation::forward(&mut y, x, f);
    activation::backward(&mut dx, &dy, x, f);
    is("y", 3, &y_there, &y);
    is("dx", 4, &dx_there, &dx);

    gated::cuda::forward(device, &mut y_there.slice_mut(from(3)..), x_view, up_view, f).unwrap();
    let (dgate_view, dup_view) =
        (&mut dx_there.slice_mut(from(4)..), &mut dup_there.slice_mut(from(5)..));
    gated::cuda::backward(device, dgate_view, dup_view, dy_view, x_view, up_view, f).unwrap();
    gated::forward(&mut y, x, &up_, f);
    gated::backward(&mut dx, &mut dup, &dy, x, &up_, f);
    is("gated y", 3, &y_there, &y);
    is("dgate", 4, &dx_there, &dx);
    is("dup", 5, &dup_there, &dup);
}

fn check_products<R: Real>(device: &Device) {
    let fixed = [[1, 1, 1], [8, 16, 24], [5, 33, 7], [65, 40, 96]];
    let all = fixed.into_iter().chain(random_shapes(4, [70, 90, 90]));
    for ([rows, inputs, outputs], write) in all.flat_map(|s| WRITES.map(|w| (s, w))) {
        let shape = matmul::Shape { rows, inputs, outputs };
        let (x, w, dy) = (
            random::<R>(rows * inputs, 1),
            random::<R>(outputs * inputs, 2),
            random::<R>(rows * outputs, 3),
        );
        let (mut y, mut dx) = (random::<R>(rows * outputs, 4), random::<R>(rows * inputs, 5));
        let mut dw = random::<f32>(outputs * inputs, 6);
        let (x_there, w_there, dy_there) =
            (up::<R>(device, &x), up::<R>(device, &w), up::<R>(device, &dy));
        let (mut y_there, mut dx_there) = (up::<R>(device, &y), up::<R>(device, &dx));
        let mut dw_there = up::<f32>(device, &dw);
        let (x_view, w_view, dy_view) =
            (&x_there.as_view(), &w_there.as_view(), &dy_there.as_view());
        matmul::cuda::forward(device, &mut y_there.as_view_mut(), x_view, w_view, shape, write)
            .unwrap();
        matmul::cuda::backward_input(
            device,
            &mut dx_there.as_view_mut(),
            dy_view,
            w_view,
            shape,
            write,
        )
        .unwrap();
        let dw_view = &mut dw_there.as_view_mut();
        matmul::cuda::backward_weight(device, dw_view, None, dy_view, x_view, shape).unwrap();
        matmul::forward(&mut y, &x, &w, shape, write);
        matmul::backward_input(&mut dx, &dy, &w, shape, write);
        matmul::backward_weight(&mut dw, &dy, &x, shape, Accumulate);
        assert_close("y", &down(device, &y_there), &y, tolerance::<R>());
        assert_close("dx", &down(device, &dx_there), &dx, tolerance::<R>());
        assert_close("dw", &down(device, &dw_there), &dw, 1e-5);
    }
}

fn check_log_probs<R: Real>(device: &Device) {
    let all = logprob::LOGITS_BYTES_MAX;
    // Chunks: one, nine, or one of eight tokens and one of three. In the last two cases one token outweighs all others by more than an
    // exponential can hold, so that sums must be taken relative to the largest of all.
    for (rows, width, vocabulary, softcap, logits_bytes_max, outlier) in [
        (1, 1, 2, None, all, None),
        (7, 5, 33, Some(1.5), all, None),
        (30, 17, 517, None, all, None),
        (30, 17, 517, Some(4.0), 4 * 30 * 64, None),
        (9, 5, 11, None, 4 * 9, None),
        (30, 17, 517, None, all, Some(300)),
        (30, 17, 517, None, 4 * 30 * 64, Some(300)),
        // As many rows as a block has threads.
        (256, 1, 3, None, all, None),
    ] {
        let shape = logprob::Shape { rows, width, vocabulary, softcap };
        let (hidden, mut head) = (random::<R>(rows * width, 1), random::<R>(vocabulary * width, 2));
        if let Some(token) = outlier {
            head[token * width..][..width].iter_mut().for_each(|weight| *weight *= 128.0);
        }
        let (targets, dlogp) = (random_ids(rows, vocabulary, 3), random::<f32>(rows, 4));
        let (hidden_there, head_there) = (up::<R>(device, &hidden), up::<R>(device, &head));
        let checked = Ids::upload(device, &targets, vocabulary).unwrap();
        let (hidden_view, head_view) = (&hidden_there.as_view(), &head_there.as_view());
        let inputs = logprob::cuda::Inputs {
            hidden: hidden_view,
            head: head_view,
            targets: &checked,
            logits_bytes_max,
        };
        let [mut logp_there, mut lse_there] = [(); 2].map(|()| blank::<f32>(device, rows));
        let mut dhidden_there = blank::<R>(device, hidden.len());
        let mut dhead_there = device.zeros::<f32>(head.len()).unwrap();
        let dlogp_there = up::<f32>(device, &dlogp);
        let (logp_view, lse_view) = (&mut logp_there.as_view_mut(), &mut lse_there.as_view_mut());
        let [mut entropy_there, mut mean_there] = [(); 2].map(|()| device.zeros(rows).unwrap());
        let mut likeliest_there = device.zeros::<u32>(rows).unwrap();
        let statistics = logprob::cuda::StatisticsMut {
            entropy: &mut entropy_there.as_view_mut(),
            mean_logit: &mut mean_there.as_view_mut(),
            is_likeliest: &mut likeliest_there.as_view_mut(),
        };
        let asked = Some(statistics);
        logprob::cuda::forward(device, logp_view, lse_view, asked, inputs, shape).unwrap();
        logprob::cuda::backward(
            device,
            &mut dhidden_there.as_view_mut(),
            &mut dhead_there.as_view_mut(),
            &dlogp_there.as_view(),
            &lse_there.as_view(),
            inputs,
            shape,
        )
        .unwrap();

        let inputs = logprob::Inputs { hidden: &hidden, head: &head, targets: &targets };
        let (mut logp, mut lse, mut kept) = (vec![0.0; rows], vec![0.0; rows], Vec::new());
        let mut statistics = vec![logprob::Statistics::default(); rows];
        let (of_rows, kept_logits) = (&mut statistics, Some(&mut kept));
        logprob::forward_with_statistics(&mut logp, &mut lse, of_rows, kept_logits, inputs, shape);
        let entropies: Vec<f32> = statistics.iter().map(|s| s.entropy).collect();
        let means: Vec<f32> = statistics.iter().map(|s| s.mean_logit).collect();
        let likeliest: Vec<u32> = statistics.iter().map(|s| u32::from(s.is_likeliest)).collect();
        assert_close("entropy", &down(device, &entropy_there), &entropies, 1e-5);
        assert_close("mean logit", &down(device, &mean_there), &means, 1e-5);
        assert_eq!(device.download(&likeliest_there.as_view()).unwrap(), likeliest);
        let (mut dhidden, mut dhead) = (vec![0.0; hidden.len()], vec![0.0; head.len()]);
        logprob::backward(
            &mut dhidden,
            &mut dhead,
            &dlogp,
            &lse,
            &mut kept,
            inputs,
            shape,
            Accumulate,
        );
        assert_close("logp", &down(device, &logp_there), &logp, 1e-5);
        assert_close("lse", &down(device, &lse_there), &lse, 1e-5);
        assert_close("dhidden", &down(device, &dhidden_there), &dhidden, tolerance::<R>());
        assert_close("dhead", &down(device, &dhead_there), &dhead, tolerance::<R>());
    }
}

fn check_norm(device: &Device) {
    for n in [1, 1000, 33_001] {
        let gradients = random::<f32>(n, 1);
        let there = up::<f32>(device, &gradients);
        let expected = clip::global_norm(&gradients);
        let mut norm = clip::cuda::Norm::new(device).unwrap();
        for maximum in [0.5 * expected, 2.0 * expected] {
            clip::cuda::global_norm(device, &mut norm, &there.as_view(), maximum).unwrap();
            let value = norm.value(device).unwrap();
            assert!((value / expected - 1.0).abs() < 1e-13, "expected {expected}, got {value}");
            let factor = down(device, norm.factor())[0];
            assert_eq!(factor, (maximum / (value + 1e-6)).min(1.0) as f32);
        }
    }
}

/// Arrays that begin at 16 bytes and arrays that do not give the same bits.
fn check_adamw<R: Real>(device: &Device) {
    let aligned = update_three_times::<R>(device, 0);
    assert_eq!(update_three_times::<R>(device, 1), aligned);
}

/// Three steps on arrays that begin behind so many elements; the parameters, both moments and the copy.
fn update_three_times<R: Real>(device: &Device, skipped: usize) -> [Vec<f32>; 4] {
    // The groups begin and end within fours, and no element is both's.
    // The second one takes all threads of its block.
    let n = 1722;
    let settings = adamw::Settings { learning_rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-2 };
    let groups = [
        adamw::Group { range: 0..699, weight_decay: 0.0 },
        adamw::Group { range: 701..n, weight_decay: 0.1 },
    ];
    let behind = |list: &[f32]| [&vec![f32::NAN; skipped], list].concat();
    let from = |list: Vec<f32>| list[skipped..].to_vec();
    let (mut parameters, mut first, mut second) = (random::<f32>(n, 1), vec![0.0; n], vec![0.0; n]);
    let (mut parameters_there, mut copy_there) =
        (up::<f32>(device, &behind(&parameters)), up::<R>(device, &behind(&parameters)));
    let [mut first_there, mut second_there] =
        [&first, &second].map(|list| up::<f32>(device, &behind(list)));
    let factor = up::<f32>(device, &[0.5]);
    let mut scalars = adamw::cuda::Scalars::new(device, groups.len()).unwrap();
    for step in 1..=3 {
        scalars.set(device, step, &settings, &groups).unwrap();
        let gradients = random::<f32>(n, 10 + step);
        let gradients_there = up::<f32>(device, &behind(&gradients));
        let moments = adamw::cuda::Moments {
            first: &mut first_there.slice_mut(skipped..),
            second: &mut second_there.slice_mut(skipped..),
        };
        let mut copy = copy_there.slice_mut(skipped..);
        // The last step leaves the copy alone.
        let copy = (step < 3).then_some(&mut copy);
        let parameters_view = &mut parameters_there.slice_mut(skipped..);
        let gradients_view = &gradients_there.slice(skipped..);
        adamw::cuda::step(
            device,
            parameters_view,
            copy,
            moments,
            gradients_view,
            &factor,
            &scalars,
            &groups,
        )
        .unwrap();
        let moments = adamw::Moments { first: &mut first, second: &mut second };
        adamw::step(&mut parameters, moments, &gradients, 0.5, step, &settings, &groups);
        let got = from(down(device, &parameters_there));
        assert_close("parameters", &got, &parameters, 1e-6);
        assert_close("first", &from(down(device, &first_there)), &first, 1e-6);
        assert_close("second", &from(down(device, &second_there)), &second, 1e-6);
        if step == 2 {
            let expected: Vec<f32> = got.iter().map(|&p| R::from(p).into()).collect();
            let copy = from(down(device, &copy_there));
            assert_eq!((&copy[..699], &copy[701..]), (&expected[..699], &expected[701..]));
        }
    }
    [
        from(down(device, &parameters_there)),
        from(down(device, &first_there)),
        from(down(device, &second_there)),
        from(down(device, &copy_there)),
    ]
}
