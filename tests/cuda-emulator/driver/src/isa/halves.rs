//! bf16 and f16, single and packed in pairs (PTX ISA, "Half Precision Floating-Point Instructions").
//!
//! Each result is computed in f64 and rounded once. A sum or product of two such numbers is exact in f64; a fused
//! multiply-add is too, unless its addends are more than 2^30 apart, where the smaller decides no rounding but a tie's.

use half::{bf16, f16};

use super::float;
use crate::lanes::{Pure, lanes};
use crate::ptx::{Mnemonic, Type};

/// A 16-bit format.
trait Half: Copy {
    fn wide(bits: u16) -> f64;
    fn narrow(value: f64) -> u16;
}

impl Half for bf16 {
    fn wide(bits: u16) -> f64 {
        bf16::from_bits(bits).to_f64()
    }
    fn narrow(value: f64) -> u16 {
        if value.is_nan() { 0x7fff } else { bf16::from_f64(value).to_bits() }
    }
}

impl Half for f16 {
    fn wide(bits: u16) -> f64 {
        f16::from_bits(bits).to_f64()
    }
    fn narrow(value: f64) -> u16 {
        if value.is_nan() { 0x7fff } else { f16::from_f64(value).to_bits() }
    }
}

fn one<H: Half>(a: u16, f: fn(f64) -> f64) -> u16 {
    H::narrow(f(H::wide(a)))
}

fn two<H: Half>(a: u16, b: u16, f: fn(f64, f64) -> f64) -> u16 {
    H::narrow(f(H::wide(a), H::wide(b)))
}

fn three<H: Half>(a: u16, b: u16, c: u16, f: fn(f64, f64, f64) -> f64) -> u16 {
    H::narrow(f(H::wide(a), H::wide(b), H::wide(c)))
}

/// Applies a formula to both halves of a 32-bit register.
fn both(a: u32, b: u32, c: u32, f: impl Fn(u16, u16, u16) -> u16) -> u32 {
    let low = f(a as u16, b as u16, c as u16);
    let high = f((a >> 16) as u16, (b >> 16) as u16, (c >> 16) as u16);
    u32::from(high) << 16 | u32::from(low)
}

macro_rules! halves {
    ($ty:expr, 1, $f:expr) => {
        match $ty {
            Type::Bf16 => lanes!(|a: u16| one::<bf16>(a, $f)),
            Type::F16 => lanes!(|a: u16| one::<f16>(a, $f)),
            Type::Bf16x2 => lanes!(|a: u32| both(a, 0, 0, |a, _, _| one::<bf16>(a, $f))),
            Type::F16x2 => lanes!(|a: u32| both(a, 0, 0, |a, _, _| one::<f16>(a, $f))),
            _ => return None,
        }
    };
    ($ty:expr, 2, $f:expr) => {
        match $ty {
            Type::Bf16 => lanes!(|a: u16, b: u16| two::<bf16>(a, b, $f)),
            Type::F16 => lanes!(|a: u16, b: u16| two::<f16>(a, b, $f)),
            Type::Bf16x2 => lanes!(|a: u32, b: u32| both(a, b, 0, |a, b, _| two::<bf16>(a, b, $f))),
            Type::F16x2 => lanes!(|a: u32, b: u32| both(a, b, 0, |a, b, _| two::<f16>(a, b, $f))),
            _ => return None,
        }
    };
    ($ty:expr, 3, $f:expr) => {
        match $ty {
            Type::Bf16 => lanes!(|a: u16, b: u16, c: u16| three::<bf16>(a, b, c, $f)),
            Type::F16 => lanes!(|a: u16, b: u16, c: u16| three::<f16>(a, b, c, $f)),
            Type::Bf16x2 => {
                lanes!(|a: u32, b: u32, c: u32| both(a, b, c, |a, b, c| three::<bf16>(a, b, c, $f)))
            }
            Type::F16x2 => {
                lanes!(|a: u32, b: u32, c: u32| both(a, b, c, |a, b, c| three::<f16>(a, b, c, $f)))
            }
            _ => return None,
        }
    };
}

/// The function of an instruction on bf16 or f16.
pub(crate) fn function(m: &Mnemonic) -> Option<Pure> {
    let ty = m.ty();
    let packed = matches!(ty, Type::Bf16x2 | Type::F16x2);
    if !packed && !matches!(ty, Type::Bf16 | Type::F16) || m.has("sat") {
        return None;
    }
    Some(match m.base() {
        "add" => halves!(ty, 2, |a, b| a + b),
        "sub" => halves!(ty, 2, |a, b| a - b),
        "mul" => halves!(ty, 2, |a, b| a * b),
        "fma" if m.has("relu") => halves!(ty, 3, |a, b, c| a.mul_add(b, c).max(0.0)),
        "fma" => halves!(ty, 3, |a, b, c| a.mul_add(b, c)),
        "min" if m.has("NaN") => {
            halves!(ty, 2, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { min(a, b) })
        }
        "max" if m.has("NaN") => {
            halves!(ty, 2, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { max(a, b) })
        }
        "min" => halves!(ty, 2, min),
        "max" => halves!(ty, 2, max),
        "neg" if packed => lanes!(|a: u32| a ^ 0x8000_8000),
        "neg" => lanes!(|a: u16| a ^ 0x8000),
        "abs" if packed => lanes!(|a: u32| a & 0x7fff_7fff),
        "abs" => lanes!(|a: u16| a & 0x7fff),
        "ex2" => halves!(ty, 1, libm::exp2),
        "tanh" => halves!(ty, 1, libm::tanh),
        _ => return None,
    })
}

fn min(a: f64, b: f64) -> f64 {
    f64::from(float::min(a as f32, b as f32))
}

fn max(a: f64, b: f64) -> f64 {
    f64::from(float::max(a as f32, b as f32))
}
