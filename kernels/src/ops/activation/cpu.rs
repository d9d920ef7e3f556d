//! Element-wise in fixed blocks.

use super::Activation;
use super::curve::{Curve, Gelu, GeluTanh, Relu, Silu};
use crate::blocks::ELEMENTS;
use crate::vector::vectorised;
use rayon::prelude::*;

pub(super) fn forward(y: &mut [f32], x: &[f32], activation: Activation) {
    match activation {
        Activation::Silu => forward_of::<Silu>(y, x),
        Activation::Gelu => forward_of::<Gelu>(y, x),
        Activation::GeluTanh => forward_of::<GeluTanh>(y, x),
        Activation::Relu => forward_of::<Relu>(y, x),
    }
}

fn forward_of<C: Curve>(y: &mut [f32], x: &[f32]) {
    y.par_chunks_mut(ELEMENTS).zip(x.par_chunks(ELEMENTS)).for_each(|(y, x)| {
        vectorised(
            #[inline(always)]
            || {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = C::value_and_slope(x).0;
                }
            },
        );
    });
}

pub(super) fn backward(dx: &mut [f32], dy: &[f32], x: &[f32], activation: Activation) {
    match activation {
        Activation::Silu => backward_of::<Silu>(dx, dy, x),
        Activation::Gelu => backward_of::<Gelu>(dx, dy, x),
        Activation::GeluTanh => backward_of::<GeluTanh>(dx, dy, x),
        Activation::Relu => backward_of::<Relu>(dx, dy, x),
    }
}

fn backward_of<C: Curve>(dx: &mut [f32], dy: &[f32], x: &[f32]) {
    let blocks = dx.par_chunks_mut(ELEMENTS).zip(dy.par_chunks(ELEMENTS));
    blocks.zip(x.par_chunks(ELEMENTS)).for_each(|((dx, dy), x)| {
        vectorised(
            #[inline(always)]
            || {
                for ((dx, &dy), &x) in dx.iter_mut().zip(dy).zip(x) {
                    *dx = dy * C::value_and_slope(x).1;
                }
            },
        );
    });
}
