//! What a pass over a batch needs around its large operations, on a device against the CPU: statistics of logits, sums of
//! completions, gathered rows, residual connections, drawn tokens.

use crate::parity::{blank, down, up};
use crate::support::{assert_close, random, random_ids, tolerance};
use kernels::Write::Overwrite;
use kernels::cuda::{Device, Ids, Real};
use kernels::{completion, embedding, logprob, sample};
use lossbox_kernels as kernels;

/// Logits that are equal, far apart, or not there: which token is likeliest, and an entropy that stays a number.
pub(crate) fn check_statistics(device: &Device) {
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

/// Completions of no token and of many.
pub(crate) fn check_sums(device: &Device) {
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

pub(crate) fn check_gathered_rows<R: Real>(device: &Device) {
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

pub(crate) fn check_scaling<R: Real>(device: &Device) {
    for n in [1, 257, 1000] {
        let mut y = random::<R>(n, 1);
        let mut there = up::<R>(device, &y);
        embedding::cuda::scale(device, &mut there.as_view_mut(), 11.3).unwrap();
        embedding::scale(&mut y, 11.3);
        assert_close("y", &down(device, &there), &y, tolerance::<R>());
    }
}

pub(crate) fn check_draws(device: &Device) {
    for (rows, vocabulary) in [(5, 2), (40, 17), (7, 255), (6, 257), (9, 5003)] {
        let mut logits: Vec<f32> =
            random::<f32>(rows * vocabulary, 1).iter().map(|x| 4.0 * x).collect();
        logits[0] = f32::NEG_INFINITY;
        let mut uniforms: Vec<f64> =
            random::<f32>(rows, 2).iter().map(|&x| (f64::from(x) + 1.0) / 2.0).collect();
        uniforms[0] = 0.0;
        // The largest there is: rounding may leave no token whose cumulative weight exceeds it, and the last has no weight.
        let (largest, n_largest) = (1.0_f64.next_down(), rows.min(5));
        uniforms[1..n_largest].fill(largest);
        if vocabulary > 1000 {
            (1..n_largest).for_each(|row| logits[(row + 1) * vocabulary - 1] = f32::NEG_INFINITY);
        }
        if vocabulary == 257 {
            // The first token of a stretch that others have none of.
            (0..rows).for_each(|row| logits[(row + 1) * vocabulary - 1] = 8.0);
        }
        let (mut ids, mut logp) = (vec![0; rows], vec![0.0; rows]);
        sample::categorical(&mut ids, &mut logp, &logits, &uniforms, vocabulary);
        let (logits_there, uniforms_there) =
            (up::<f32>(device, &logits), device.upload(&uniforms).unwrap());
        let (mut ids_there, mut logp_there) =
            (device.zeros::<u32>(rows).unwrap(), device.zeros(rows).unwrap());
        let (ids_view, logp_view) = (&mut ids_there.as_view_mut(), &mut logp_there.as_view_mut());
        let logits_view = &logits_there.as_view();
        sample::cuda::categorical(
            device,
            ids_view,
            logp_view,
            logits_view,
            &uniforms_there,
            vocabulary,
        )
        .unwrap();
        assert_eq!(device.download(&ids_there.as_view()).unwrap(), ids);
        assert_close("logp", &down(device, &logp_there), &logp, 1e-5);

        // Two that tie, far apart.
        let last = logits.len() - 1;
        logits[last] = 9.0;
        logits[last + 1 - vocabulary / 2 - 1] = 9.0;
        // A row without a number.
        logits[..vocabulary].fill(f32::NAN);
        sample::likeliest(&mut ids, &logits, vocabulary);
        let mut logits_there = up::<f32>(device, &logits);
        let ids_view = &mut ids_there.as_view_mut();
        sample::cuda::likeliest(device, ids_view, &logits_there.as_view(), vocabulary).unwrap();
        assert_eq!(device.download(&ids_there.as_view()).unwrap(), ids);

        logits[..vocabulary].fill(1.5);
        logits_there = up::<f32>(device, &logits);
        sample::cuda::divide(device, &mut logits_there.as_view_mut(), 0.7).unwrap();
        let divided: Vec<f32> =
            logits.iter().map(|&logit| (f64::from(logit) / 0.7) as f32).collect();
        assert_eq!(down(device, &logits_there), divided);
        let mut capped: Vec<f32> = divided.iter().map(|logit| logit.clamp(-1e30, 1e30)).collect();
        let mut logits_there = up::<f32>(device, &capped);
        logprob::cuda::cap(device, &mut logits_there.as_view_mut(), 2.5).unwrap();
        logprob::cap(&mut capped, 2.5);
        assert_close("capped", &down(device, &logits_there), &capped, 1e-5);
    }
}

/// With weights of very different sizes and the largest uniform, rounding leaves no token whose cumulative weight exceeds
/// it, and orders of summation differ: what is drawn must have some weight.
pub(crate) fn check_last_draws(device: &Device) {
    let (rows, vocabulary) = (40, 5003);
    let mut logits: Vec<f32> =
        random::<f32>(rows * vocabulary, 3).iter().map(|x| 40.0 * x).collect();
    (1..=rows).for_each(|row| logits[row * vocabulary - 1] = f32::NEG_INFINITY);
    let uniforms = device.upload(&vec![1.0_f64.next_down(); rows]).unwrap();
    let logits_there = up::<f32>(device, &logits);
    let mut ids = device.zeros::<u32>(rows).unwrap();
    let mut logp = blank::<f32>(device, rows);
    sample::cuda::categorical(
        device,
        &mut ids.as_view_mut(),
        &mut logp.as_view_mut(),
        &logits_there.as_view(),
        &uniforms,
        vocabulary,
    )
    .unwrap();
    for (row, &id) in device.download(&ids.as_view()).unwrap().iter().enumerate() {
        let weighs = (id as usize) < vocabulary - 1;
        assert!(weighs, "row {row} draws token {id}, which has no weight");
    }
    assert!(down(device, &logp).iter().all(|logp| logp.is_finite()));
}
