//! Linear layers with what follows their products: the residual connection, a bias, GELU, the bias's gradient.

use crate::parity::{down, up};
use crate::support::{assert_close, random, tolerance};
use kernels::activation::{self, Activation};
use kernels::cuda::{Device, Real};
use kernels::matmul::cuda::Added;
use kernels::{Write, bias, matmul};
use lossbox_kernels as kernels;

/// Rows, inputs and outputs. cuBLASLt wants whole 8 of some of them for GELU.
const SHAPES: [(usize, usize, usize); 4] = [(1, 1, 1), (5, 7, 33), (9, 24, 16), (64, 40, 16)];

pub(crate) fn check_linear<R: Real>(device: &Device) {
    for (rows, inputs, outputs) in SHAPES {
        let shape = matmul::Shape { rows, inputs, outputs };
        let (x, w) = (random::<R>(rows * inputs, 1), random::<R>(outputs * inputs, 2));
        let (stream, b) = (random::<R>(rows * outputs, 3), random::<R>(outputs, 4));
        let [x_there, w_there, stream_there, b_there] =
            [&x, &w, &stream, &b].map(|list| up::<R>(device, list));
        for (has_base, has_bias) in [(true, false), (false, true), (true, true)] {
            let mut y_there = device.scratch::<R>(rows * outputs).unwrap();
            let (base, bias) = (stream_there.as_view(), b_there.as_view());
            let added = Added { base: has_base.then_some(&base), bias: has_bias.then_some(&bias) };
            let (y_view, x_view) = (&mut y_there.as_view_mut(), &x_there.as_view());
            let w_view = &w_there.as_view();
            matmul::cuda::forward_adding(device, y_view, x_view, w_view, added, shape).unwrap();
            let mut y = if has_base { stream.clone() } else { vec![0.0; stream.len()] };
            matmul::forward(&mut y, &x, &w, shape, Write::Accumulate);
            if has_bias {
                bias::forward(&mut y, &b);
            }
            assert_close("y", &down(device, &y_there), &y, tolerance::<R>());
            assert_eq!(down(device, &stream_there), stream, "the stream was changed");
        }

        let (mut dw, mut db) = (random::<f32>(outputs * inputs, 5), random::<f32>(outputs, 6));
        let (mut dw_there, mut db_there) = (up::<f32>(device, &dw), up::<f32>(device, &db));
        let (dw_view, db_view) = (&mut dw_there.as_view_mut(), &mut db_there.as_view_mut());
        let (dy_view, x_view) = (&stream_there.as_view(), &x_there.as_view());
        matmul::cuda::backward_weight(device, dw_view, Some(db_view), dy_view, x_view, shape)
            .unwrap();
        matmul::backward_weight(&mut dw, &stream, &x, shape, Write::Accumulate);
        bias::backward(&mut db, &stream, Write::Accumulate);
        assert_close("dw", &down(device, &dw_there), &dw, 1e-5);
        assert_close("db", &down(device, &db_there), &db, 1e-5);
    }
}

pub(crate) fn check_gelu<R: Real>(device: &Device) {
    for ((rows, inputs, outputs), has_bias) in
        SHAPES.into_iter().flat_map(|shape| [(shape, true), (shape, false)])
    {
        let shape = matmul::Shape { rows, inputs, outputs };
        let wide: Vec<f32> = random::<R>(rows * inputs, 1).iter().map(|x| 4.0 * x).collect();
        let (x, w, b) = (wide, random::<R>(outputs * inputs, 2), random::<R>(outputs, 3));
        let [x_there, w_there, b_there] = [&x, &w, &b].map(|list| up::<R>(device, list));
        let [mut y_there, mut sums_there] =
            [(); 2].map(|()| device.scratch::<R>(rows * outputs).unwrap());
        let bias = b_there.as_view();
        let bias = has_bias.then_some(&bias);
        let (y_view, sums_view) = (&mut y_there.as_view_mut(), &mut sums_there.as_view_mut());
        let (x_view, w_view) = (&x_there.as_view(), &w_there.as_view());
        matmul::cuda::forward_gelu(device, y_view, sums_view, x_view, w_view, bias, shape).unwrap();
        let (mut sums, mut y) = (vec![0.0; rows * outputs], vec![0.0; rows * outputs]);
        matmul::forward(&mut sums, &x, &w, shape, Write::Overwrite);
        if has_bias {
            bias::forward(&mut sums, &b);
        }
        activation::forward(&mut y, &sums, Activation::GeluTanh);
        assert_close("sums", &down(device, &sums_there), &sums, tolerance::<R>());
        // Of sums of magnitude 10 their own rounding shows.
        assert_close("y", &down(device, &y_there), &y, 2.0 * tolerance::<R>());

        // The next layer's backward: its inputs are these outputs, its outputs as many as our inputs.
        let next = matmul::Shape { rows, inputs: outputs, outputs: inputs };
        let (dy, next_w) = (random::<R>(rows * inputs, 4), random::<R>(outputs * inputs, 5));
        let (dy_there, next_w_there) = (up::<R>(device, &dy), up::<R>(device, &next_w));
        let given = down(device, &sums_there);
        let mut dsums_there = device.scratch::<R>(rows * outputs).unwrap();
        matmul::cuda::backward_gelu(
            device,
            &mut dsums_there.as_view_mut(),
            &dy_there.as_view(),
            &next_w_there.as_view(),
            &sums_there.as_view(),
            next,
        )
        .unwrap();
        let (mut dy_in, mut dsums) = (vec![0.0; rows * outputs], vec![0.0; rows * outputs]);
        matmul::backward_input(&mut dy_in, &dy, &next_w, next, Write::Overwrite);
        activation::backward(&mut dsums, &dy_in, &given, Activation::GeluTanh);
        assert_close("dsums", &down(device, &dsums_there), &dsums, 2.0 * tolerance::<R>());
    }
}
