//! Arithmetic in f32 and f64 (PTX ISA, "Floating-Point Instructions").
//!
//! Results are correctly rounded; `.approx` and `.full` are computed as if they were exact, which a card's are not.

use super::rounding::{Rounding, round, two_sum};
use crate::lanes::{Pure, lanes};
use crate::ptx::{Mnemonic, Type};

/// The function of an instruction on f32 or f64.
pub(crate) fn function(m: &Mnemonic) -> Option<Pure> {
    match m.ty() {
        Type::F32 => single(m),
        Type::F64 => double(m),
        _ => None,
    }
}

/// A subnormal number as the zero of its sign.
pub(crate) fn flush(a: f32) -> f32 {
    if a.is_subnormal() { 0.0_f32.copysign(a) } else { a }
}

/// The smaller number; a number before NaN, -0 before +0.
pub(crate) fn min(a: f32, b: f32) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => f32::from_bits(0x7fff_ffff),
        (true, _) => b,
        (_, true) => a,
        _ if a == b => {
            if a.is_sign_negative() {
                a
            } else {
                b
            }
        }
        _ => {
            if a < b {
                a
            } else {
                b
            }
        }
    }
}

/// The larger number; a number before NaN, +0 before -0.
pub(crate) fn max(a: f32, b: f32) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => f32::from_bits(0x7fff_ffff),
        (true, _) => b,
        (_, true) => a,
        _ if a == b => {
            if a.is_sign_negative() {
                b
            } else {
                a
            }
        }
        _ => {
            if a > b {
                a
            } else {
                b
            }
        }
    }
}

fn nan_or(a: f32, b: f32, otherwise: fn(f32, f32) -> f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::from_bits(0x7fff_ffff) } else { otherwise(a, b) }
}

/// Within 0 and 1; NaN becomes 0.
fn saturate(a: f32) -> f32 {
    if a > 0.0 { a.min(1.0) } else { 0.0 }
}

fn single(m: &Mnemonic) -> Option<Pure> {
    let directed = match Rounding::of(m) {
        Rounding::Nearest => None,
        Rounding::Zero => Some([SUM_Z, PRODUCT_Z, FUSED_Z, QUOTIENT_Z, ROOT_Z]),
        Rounding::Down => Some([SUM_M, PRODUCT_M, FUSED_M, QUOTIENT_M, ROOT_M]),
        Rounding::Up => Some([SUM_P, PRODUCT_P, FUSED_P, QUOTIENT_P, ROOT_P]),
    };
    let saturated = m.has("sat");
    if let Some([sum, product, fused, quotient, root]) = directed {
        let function = match m.base() {
            "add" => sum,
            "mul" => product,
            "fma" | "mad" => fused,
            "div" => quotient,
            "sqrt" => root,
            "sub" => return subtract_directed(Rounding::of(m)),
            "rcp" => return reciprocal_directed(Rounding::of(m)),
            _ => return None,
        };
        return (!saturated).then_some(function);
    }
    Some(match m.base() {
        "add" if saturated => lanes!(|a: f32, b: f32| saturate(a + b)),
        "sub" if saturated => lanes!(|a: f32, b: f32| saturate(a - b)),
        "mul" if saturated => lanes!(|a: f32, b: f32| saturate(a * b)),
        "fma" | "mad" if saturated => lanes!(|a: f32, b: f32, c: f32| saturate(a.mul_add(b, c))),
        "add" => lanes!(|a: f32, b: f32| a + b),
        "sub" => lanes!(|a: f32, b: f32| a - b),
        "mul" => lanes!(|a: f32, b: f32| a * b),
        "fma" | "mad" => fused(),
        "div" => lanes!(|a: f32, b: f32| a / b),
        "rcp" => lanes!(|a: f32| 1.0 / a),
        "sqrt" => lanes!(|a: f32| a.sqrt()),
        "rsqrt" => lanes!(|a: f32| (1.0 / f64::from(a).sqrt()) as f32),
        "neg" => lanes!(|a: f32| -a),
        "abs" => lanes!(|a: f32| a.abs()),
        "min" if m.has("NaN") => lanes!(|a: f32, b: f32| nan_or(a, b, min)),
        "max" if m.has("NaN") => lanes!(|a: f32, b: f32| nan_or(a, b, max)),
        "min" => lanes!(|a: f32, b: f32| min(a, b)),
        "max" => lanes!(|a: f32, b: f32| max(a, b)),
        "ex2" => lanes!(|a: f32| libm::exp2(f64::from(a)) as f32),
        "lg2" => lanes!(|a: f32| libm::log2(f64::from(a)) as f32),
        "sin" => lanes!(|a: f32| libm::sin(f64::from(a)) as f32),
        "cos" => lanes!(|a: f32| libm::cos(f64::from(a)) as f32),
        "tanh" => lanes!(|a: f32| libm::tanh(f64::from(a)) as f32),
        "copysign" => lanes!(|a: f32, b: f32| b.copysign(a)),
        "testp" => match m.part(1) {
            "finite" => lanes!(|a: f32| a.is_finite()),
            "infinite" => lanes!(|a: f32| a.is_infinite()),
            "number" => lanes!(|a: f32| !a.is_nan()),
            "notanumber" => lanes!(|a: f32| a.is_nan()),
            "normal" => lanes!(|a: f32| a.is_normal()),
            "subnormal" => lanes!(|a: f32| a.is_subnormal()),
            _ => return None,
        },
        _ => return None,
    })
}

/// `fma` with the machine's own instruction where it has one: a call per lane is ten times slower.
fn fused() -> Pure {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") && std::arch::is_x86_feature_detected!("avx2") {
        return |sources| {
            // SAFETY: the two features were found to be there when this function was chosen.
            unsafe { fused_vector(sources) }
        };
    }
    lanes!(|a: f32, b: f32, c: f32| a.mul_add(b, c))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused_vector([a, b, c, _]: [&crate::lanes::Lanes; 4]) -> crate::lanes::Lanes {
    use crate::lanes::Word;
    std::array::from_fn(|lane| f32::of(a[lane]).mul_add(f32::of(b[lane]), f32::of(c[lane])).word())
}

fn sum(a: f32, b: f32, rounding: Rounding) -> f32 {
    let (value, error) = two_sum(f64::from(a), f64::from(b));
    round(value, error, rounding)
}

fn fused_directed(a: f32, b: f32, c: f32, rounding: Rounding) -> f32 {
    let (value, error) = two_sum(f64::from(a) * f64::from(b), f64::from(c));
    round(value, error, rounding)
}

/// The sign of the remainder says on which side of the exact quotient the computed one lies.
fn quotient(a: f32, b: f32, rounding: Rounding) -> f32 {
    let value = f64::from(a) / f64::from(b);
    let rest = -value.mul_add(f64::from(b), -f64::from(a));
    let error = if f64::from(b) < 0.0 { -rest } else { rest };
    round(value, if error.is_nan() { 0.0 } else { error }, rounding)
}

fn root(a: f32, rounding: Rounding) -> f32 {
    let value = f64::from(a).sqrt();
    let error = -value.mul_add(value, -f64::from(a));
    round(value, if error.is_nan() { 0.0 } else { error }, rounding)
}

macro_rules! directed {
    ($($rounding:ident: $sum:ident $product:ident $fused:ident $quotient:ident $root:ident;)*) => {$(
        const $sum: Pure = lanes!(|a: f32, b: f32| sum(a, b, Rounding::$rounding));
        const $product: Pure =
            lanes!(|a: f32, b: f32| round(f64::from(a) * f64::from(b), 0.0, Rounding::$rounding));
        const $fused: Pure =
            lanes!(|a: f32, b: f32, c: f32| fused_directed(a, b, c, Rounding::$rounding));
        const $quotient: Pure = lanes!(|a: f32, b: f32| quotient(a, b, Rounding::$rounding));
        const $root: Pure = lanes!(|a: f32| root(a, Rounding::$rounding));
    )*};
}
directed! {
    Zero: SUM_Z PRODUCT_Z FUSED_Z QUOTIENT_Z ROOT_Z;
    Down: SUM_M PRODUCT_M FUSED_M QUOTIENT_M ROOT_M;
    Up: SUM_P PRODUCT_P FUSED_P QUOTIENT_P ROOT_P;
}

fn subtract_directed(rounding: Rounding) -> Option<Pure> {
    Some(match rounding {
        Rounding::Nearest => return None,
        Rounding::Zero => lanes!(|a: f32, b: f32| sum(a, -b, Rounding::Zero)),
        Rounding::Down => lanes!(|a: f32, b: f32| sum(a, -b, Rounding::Down)),
        Rounding::Up => lanes!(|a: f32, b: f32| sum(a, -b, Rounding::Up)),
    })
}

fn reciprocal_directed(rounding: Rounding) -> Option<Pure> {
    Some(match rounding {
        Rounding::Nearest => return None,
        Rounding::Zero => lanes!(|a: f32| quotient(1.0, a, Rounding::Zero)),
        Rounding::Down => lanes!(|a: f32| quotient(1.0, a, Rounding::Down)),
        Rounding::Up => lanes!(|a: f32| quotient(1.0, a, Rounding::Up)),
    })
}

/// f64 with `.rn`; other directions are not emulated.
fn double(m: &Mnemonic) -> Option<Pure> {
    if Rounding::of(m) != Rounding::Nearest {
        return None;
    }
    Some(match m.base() {
        "add" => lanes!(|a: f64, b: f64| a + b),
        "sub" => lanes!(|a: f64, b: f64| a - b),
        "mul" => lanes!(|a: f64, b: f64| a * b),
        "fma" | "mad" => lanes!(|a: f64, b: f64, c: f64| a.mul_add(b, c)),
        "div" => lanes!(|a: f64, b: f64| a / b),
        // The coarse one reads and writes the upper halves alone.
        "rcp" if m.has("approx") => lanes!(|a: f64| upper(1.0 / upper(a))),
        "rcp" => lanes!(|a: f64| 1.0 / a),
        "sqrt" => lanes!(|a: f64| a.sqrt()),
        "rsqrt" => lanes!(|a: f64| 1.0 / a.sqrt()),
        "neg" => lanes!(|a: f64| -a),
        "abs" => lanes!(|a: f64| a.abs()),
        // -0 comes before +0; a number before NaN.
        "min" => lanes!(|a: f64, b: f64| if a == b { signed(a, b, true) } else { a.min(b) }),
        "max" => lanes!(|a: f64, b: f64| if a == b { signed(a, b, false) } else { a.max(b) }),
        "copysign" => lanes!(|a: f64, b: f64| b.copysign(a)),
        _ => return None,
    })
}

/// Of two equal numbers one that has the sign, if there is one.
fn signed(a: f64, b: f64, is_negative: bool) -> f64 {
    if a.is_sign_negative() == is_negative { a } else { b }
}

/// A number without the lower half of its bits.
fn upper(value: f64) -> f64 {
    f64::from_bits(value.to_bits() & !u64::from(u32::MAX))
}
