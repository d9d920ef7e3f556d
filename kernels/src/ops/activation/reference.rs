//! The activations and their slopes as formulas in `f64`.

use super::Activation;
use crate::testing::exact_normal;
use std::f64::consts::PI;

pub(crate) const ALL: [Activation; 4] =
    [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];

const CUBIC: f64 = 0.044_715;

pub(crate) fn value(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => x * exact_normal(x),
        Activation::GeluTanh => x / 2.0 * (1.0 + inner(x).tanh()),
        Activation::Relu => x.max(0.0),
    }
}

pub(crate) fn slope(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => {
            let sigma = 1.0 / (1.0 + (-x).exp());
            sigma * (1.0 + x * (1.0 - sigma))
        }
        Activation::Gelu => {
            let density = (-x * x / 2.0).exp() / (2.0 * PI).sqrt();
            exact_normal(x) + x * density
        }
        Activation::GeluTanh => {
            let (t, du) = (inner(x).tanh(), (2.0 / PI).sqrt() * (1.0 + 3.0 * CUBIC * x * x));
            (1.0 + t) / 2.0 + x / 2.0 * (1.0 - t * t) * du
        }
        Activation::Relu => f64::from(x > 0.0),
    }
}

fn inner(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + CUBIC * x * x * x)
}
