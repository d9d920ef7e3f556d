//! What a pass over a batch needs around its large operations, on a device against the CPU: statistics of logits, sums of
//! completions, gathered rows, residual connections, memory that is handed out again.

use crate::device::device;
use crate::parity::{down, up};
use crate::support::{assert_close, on_a_device, random, random_ids, tolerance};
use kernels::Write::Overwrite;
use kernels::cuda::{Arena, Bf16, Device, Ids, Real};
use kernels::{completion, embedding, logprob, matmul};
use lossbox_kernels as kernels;

/// Logits that are equal, far apart, or not there: which token is likeliest, and an entropy that stays a number.
#[test]
fn statistics_agree_where_logits_tie_or_are_extreme() {
    let Some(session) = device("statistics_agree_where_logits_tie_or_are_extreme") else { return };
    let device = &*session;
    // With hidden 1 the head is the logits. Chunks of 64 tokens.
    let (vocabulary, low) = (200, -1e30_f32);
    let ties = [(3, 5.0), (70, 5.0), (150, 5.0)];
    let cases: [(&[(usize, f32)], u32); 7] = [
        (&ties, 3),
        (&ties, 70),
        (&ties, 150),
        (&[(199, 80.0)], 199),
        (&[(0, -80.0), (100, 80.0)], 0),
        (&[], 0),
        (&[(64, low), (5, low)], 5),
    ];
    for (logits, target) in cases {
        let mut head = vec![0.0; vocabulary];
        logits.iter().for_each(|&(token, logit)| head[token] = logit);
        let shape = logprob::Shape { rows: 1, width: 1, vocabulary, softcap: None };
        let (hidden_there, head_there) = (up::<f32>(device, &[1.0]), up::<f32>(device, &head));
        let checked = Ids::upload(device, &[target], vocabulary).unwrap();
        let inputs = logprob::cuda::Inputs {
            hidden: &hidden_there.as_view(),
            head: &head_there.as_view(),
            targets: &checked,
            logits_bytes_max: 4 * 64,
        };
        let [mut logp, mut lse, mut entropy, mut mean] =
            [(); 4].map(|()| device.zeros::<f32>(1).unwrap());
        let mut is_likeliest = device.zeros::<u32>(1).unwrap();
        let asked = logprob::cuda::StatisticsMut {
            entropy: &mut entropy.as_view_mut(),
            mean_logit: &mut mean.as_view_mut(),
            is_likeliest: &mut is_likeliest.as_view_mut(),
        };
        let (logp, lse) = (&mut logp.as_view_mut(), &mut lse.as_view_mut());
        logprob::cuda::forward(device, logp, lse, Some(asked), inputs, shape).unwrap();
        let mut expected = [logprob::Statistics::default()];
        let targets = [target];
        let inputs = logprob::Inputs { hidden: &[1.0], head: &head, targets: &targets };
        logprob::forward_with_statistics(
            &mut [0.0],
            &mut [0.0],
            &mut expected,
            None,
            inputs,
            shape,
        );
        let [expected] = expected;
        let case = format!("of {logits:?} at {target}");
        let flag = device.download(&is_likeliest.as_view()).unwrap()[0];
        assert_eq!(flag, u32::from(expected.is_likeliest), "{case}");
        let entropy = down(device, &entropy)[0];
        assert!((entropy - expected.entropy).abs() < 1e-5, "{case}: {entropy} {expected:?}");
        assert_close(&case, &down(device, &mean), &[expected.mean_logit], 1e-5);
    }
}

#[test]
fn sums_of_completions_agree() {
    let Some(session) = device("sums_of_completions_agree") else { return };
    let device = &*session;
    for starts in [vec![0, 1], vec![0, 3, 35, 35, 68, 1068], (0..=40).map(|i| 7 * i).collect()] {
        let (completions, tokens) = (starts.len() - 1, starts[starts.len() - 1] as usize);
        let there = completion::cuda::Starts::upload(device, &starts).unwrap();
        let logps = random::<f32>(tokens, 1);
        let mut sums_there = device.zeros::<f64>(completions).unwrap();
        let (sums_view, logps_there) = (&mut sums_there.as_view_mut(), up::<f32>(device, &logps));
        completion::cuda::forward(device, sums_view, &logps_there.as_view(), &there).unwrap();
        let mut sums = vec![f64::NAN; completions];
        completion::forward(&mut sums, &logps, &starts);
        let got = device.download(&sums_there.as_view()).unwrap();
        let close = |(got, sum): (&f64, &f64)| (got - sum).abs() < 1e-12;
        assert!(got.iter().zip(&sums).all(close), "{got:?} and not {sums:?}");

        let derivatives = random::<f32>(completions, 2);
        let derivatives_there = up::<f32>(device, &derivatives);
        let mut dlogps_there = device.zeros::<f32>(tokens).unwrap();
        completion::cuda::backward(
            device,
            &mut dlogps_there.as_view_mut(),
            &derivatives_there.as_view(),
            &there,
        )
        .unwrap();
        let mut dlogps = vec![f32::NAN; tokens];
        completion::backward(&mut dlogps, &derivatives, &starts);
        assert_eq!(down(device, &dlogps_there), dlogps);
    }
}

on_a_device!(products_begin_with_the_stream, check_residual_products);

fn check_residual_products<R: Real>(device: &Device) {
    for (rows, inputs, outputs) in [(1, 1, 1), (5, 7, 33), (64, 40, 16)] {
        let shape = matmul::Shape { rows, inputs, outputs };
        let (x, w) = (random::<R>(rows * inputs, 1), random::<R>(outputs * inputs, 2));
        let stream = random::<R>(rows * outputs, 3);
        let (x_there, w_there) = (up::<R>(device, &x), up::<R>(device, &w));
        let stream_there = up::<R>(device, &stream);
        let mut y_there = device.scratch::<R>(rows * outputs).unwrap();
        matmul::cuda::forward_onto(
            device,
            &mut y_there.as_view_mut(),
            &stream_there.as_view(),
            &x_there.as_view(),
            &w_there.as_view(),
            shape,
        )
        .unwrap();
        let mut y = stream.clone();
        matmul::forward(&mut y, &x, &w, shape, kernels::Write::Accumulate);
        assert_close("y", &down(device, &y_there), &y, tolerance::<R>());
        assert_eq!(down(device, &stream_there), stream, "the stream was changed");
    }
}

on_a_device!(gradients_of_gathered_rows_agree, check_gathered_rows);

fn check_gathered_rows<R: Real>(device: &Device) {
    for (rows, n_ids, width) in [(1, 1, 1), (5, 9, 7), (40, 13, 300)] {
        let (ids, dy) = (random_ids(n_ids, rows, 1), random::<R>(n_ids * width, 2));
        let groups = embedding::cuda::RowGroups::upload(device, &ids, rows).unwrap();
        let mut there = device.scratch::<R>(rows * width).unwrap();
        let (dx_view, dy_there) = (&mut there.as_view_mut(), up::<R>(device, &dy));
        embedding::cuda::backward_rows(device, dx_view, &dy_there.as_view(), &groups, width)
            .unwrap();
        let mut dx = vec![f32::NAN; rows * width];
        embedding::backward(&mut dx, &dy, &ids, width, Overwrite);
        assert_close("dx", &down(device, &there), &dx, tolerance::<R>());
    }
}

#[test]
fn pieces_of_an_arena_lie_side_by_side() {
    let Some(session) = device("pieces_of_an_arena_lie_side_by_side") else { return };
    let device = &*session;
    let take =
        |arena: &mut Arena| (arena.take::<f32>(3), arena.take::<u32>(100), arena.take::<f64>(1));
    let mut plan = Arena::plan(device);
    let planned = take(&mut plan);
    assert_eq!((planned.0.len(), plan.taken_bytes()), (0, 256 + 512 + 256));
    let mut arena = Arena::new(device, plan.taken_bytes(), "a test").unwrap();
    for round in 0..2 {
        let (mut a, mut b, mut c) = take(&mut arena);
        device.copy_in(&mut a.as_view_mut(), &[1.0, 2.0, round as f32]).unwrap();
        device.copy_in(&mut b.as_view_mut(), &[7; 100]).unwrap();
        device.clear(&mut c.as_view_mut()).unwrap();
        assert_eq!(down(device, &a), [1.0, 2.0, round as f32]);
        assert_eq!(device.download(&b.as_view()).unwrap(), [7; 100]);
        assert_eq!(device.download(&c.as_view()).unwrap(), [0.0]);
        drop((a, b, c));
        arena.reset();
    }
    let held = arena.take::<f32>(1);
    let reset = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arena.reset()));
    assert!(reset.is_err(), "a piece that is held must stop a reset");
    drop(held);
}

on_a_device!(scaling_agrees, check_scaling);

fn check_scaling<R: Real>(device: &Device) {
    for n in [1, 257, 1000] {
        let mut y = random::<R>(n, 1);
        let mut there = up::<R>(device, &y);
        embedding::cuda::scale(device, &mut there.as_view_mut(), 11.3).unwrap();
        embedding::scale(&mut y, 11.3);
        assert_close("y", &down(device, &there), &y, tolerance::<R>());
    }
}
