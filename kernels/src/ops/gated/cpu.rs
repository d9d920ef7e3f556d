//! Element-wise in fixed blocks.

use crate::activation::Activation;
use crate::activation::curve::{Curve, Gelu, GeluTanh, Relu, Silu};
use crate::blocks::ELEMENTS;
use crate::vector::vectorised;
use rayon::prelude::*;

pub(super) fn forward(y: &mut [f32], gate: &[f32], up: &[f32], activation: Activation) {
    match activation {
        Activation::Silu => forward_of::<Silu>(y, gate, up),
        Activation::Gelu => forward_of::<Gelu>(y, gate, up),
        Activation::GeluTanh => forward_of::<GeluTanh>(y, gate, up),
        Activation::Relu => forward_of::<Relu>(y, gate, up),
    }
}

fn forward_of<C: Curve>(y: &mut [f32], gate: &[f32], up: &[f32]) {
    let blocks = y.par_chunks_mut(ELEMENTS).zip(gate.par_chunks(ELEMENTS));
    blocks.zip(up.par_chunks(ELEMENTS)).for_each(|((y, gate), up)| {
        vectorised(
            #[inline(always)]
            || {
                for ((y, &gate), up) in y.iter_mut().zip(gate).zip(up) {
                    *y = C::value_and_slope(gate).0 * up;
                }
            },
        );
    });
}

pub(super) fn backward(
    dgate: &mut [f32],
    dup: &mut [f32],
    dy: &[f32],
    gate: &[f32],
    up: &[f32],
    activation: Activation,
) {
    match activation {
        Activation::Silu => backward_of::<Silu>(dgate, dup, dy, gate, up),
        Activation::Gelu => backward_of::<Gelu>(dgate, dup, dy, gate, up),
        Activation::GeluTanh => backward_of::<GeluTanh>(dgate, dup, dy, gate, up),
        Activation::Relu => backward_of::<Relu>(dgate, dup, dy, gate, up),
    }
}

fn backward_of<C: Curve>(dgate: &mut [f32], dup: &mut [f32], dy: &[f32], gate: &[f32], up: &[f32]) {
    let gradients = dgate.par_chunks_mut(ELEMENTS).zip(dup.par_chunks_mut(ELEMENTS));
    let inputs = gate.par_chunks(ELEMENTS).zip(up.par_chunks(ELEMENTS));
    let blocks = gradients.zip(dy.par_chunks(ELEMENTS)).zip(inputs);
    blocks.for_each(|(((dgate, dup), dy), (gate, up))| {
        vectorised(
            #[inline(always)]
            || {
                let gradients = dgate.iter_mut().zip(dup).zip(dy);
                for (((dgate, dup), &dy), (&gate, &up)) in gradients.zip(gate.iter().zip(up)) {
                    let (value, slope) = C::value_and_slope(gate);
                    *dup = dy * value;
                    *dgate = dy * up * slope;
                }
            },
        );
    });
}
