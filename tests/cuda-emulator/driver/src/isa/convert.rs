//! Conversions between types (PTX ISA, "cvt").

use half::{bf16, f16};

use super::rounding::{Rounding, round};
use crate::lanes::{Lanes, Pure, Word, integers, lanes};
use crate::ptx::{Mnemonic, Type};

/// The function of a `cvt`.
pub(crate) fn function(m: &Mnemonic) -> Option<Pure> {
    if m.base() != "cvt" {
        return None;
    }
    let types = m.types();
    let (to, from) = (*types.first()?, *types.last()?);
    if m.has("relu") {
        return None;
    }
    match (is_float(to), is_float(from)) {
        (false, false) if m.has("sat") => integer_saturated(to, from),
        (false, false) => integer(to, from),
        (true, false) => from_integer(to, from),
        (false, true) => to_integer(m, to, from),
        (true, true) => float(m, to, from),
    }
}

fn is_float(ty: Type) -> bool {
    use Type::{Bf16, Bf16x2, F16, F16x2, F32, F64};
    matches!(ty, F16 | F16x2 | Bf16 | Bf16x2 | F32 | F64)
}

fn integer(to: Type, from: Type) -> Option<Pure> {
    Some(match to.bits() {
        8 => integers!(from, |a: T| a as u8),
        16 => integers!(from, |a: T| a as u16),
        32 => integers!(from, |a: T| a as u32),
        _ => integers!(from, |a: T| a as u64),
    })
}

fn integer_saturated(to: Type, from: Type) -> Option<Pure> {
    Some(match to {
        Type::S8 => integers!(from, |a: T| i128::from(a).clamp(-128, 127) as i8),
        Type::U8 => integers!(from, |a: T| i128::from(a).clamp(0, 255) as u8),
        Type::S16 => integers!(from, |a: T| i128::from(a).clamp(-32768, 32767) as i16),
        Type::U16 => integers!(from, |a: T| i128::from(a).clamp(0, 65535) as u16),
        Type::S32 => integers!(from, |a: T| i128::from(a).clamp(-(1 << 31), (1 << 31) - 1) as i32),
        Type::U32 => integers!(from, |a: T| i128::from(a).clamp(0, (1 << 32) - 1) as u32),
        _ => return None,
    })
}

fn from_integer(to: Type, from: Type) -> Option<Pure> {
    Some(match to {
        Type::F32 => integers!(from, |a: T| a as f32),
        Type::F64 => integers!(from, |a: T| a as f64),
        Type::F16 => integers!(from, |a: T| f16::from_f64(a as f64)),
        Type::Bf16 => integers!(from, |a: T| bf16::from_f64(a as f64)),
        _ => return None,
    })
}

/// Any float as f64, in which all of them are exact.
fn wide(from: Type) -> Option<fn(u64) -> f64> {
    Some(match from {
        Type::F16 => |word| f16::of(word).to_f64(),
        Type::Bf16 => |word| bf16::of(word).to_f64(),
        Type::F32 => |word| f64::from(f32::of(word)),
        Type::F64 => f64::of,
        _ => return None,
    })
}

macro_rules! whole {
    ($to:expr, $from:ty, $wide:expr, $round:expr) => {
        match $to {
            Type::S8 => lanes!(|a: $from| $round($wide(a)) as i8),
            Type::S16 => lanes!(|a: $from| $round($wide(a)) as i16),
            Type::S32 => lanes!(|a: $from| $round($wide(a)) as i32),
            // NaN becomes zero in 32 bits and the value with only the top bit set in 64.
            Type::S64 => lanes!(|a: $from| if $wide(a).is_nan() {
                i64::MIN
            } else {
                $round($wide(a)) as i64
            }),
            Type::U8 => lanes!(|a: $from| $round($wide(a)) as u8),
            Type::U16 => lanes!(|a: $from| $round($wide(a)) as u16),
            Type::U32 => lanes!(|a: $from| $round($wide(a)) as u32),
            Type::U64 => {
                lanes!(|a: $from| if $wide(a).is_nan() { 1 << 63 } else { $round($wide(a)) as u64 })
            }
            _ => return None,
        }
    };
}

macro_rules! rounded {
    ($m:expr, $to:expr, $from:ty, $wide:expr) => {
        match $m.find(|part| part.starts_with('r').then(|| part.to_owned())).as_deref() {
            Some("rni") => whole!($to, $from, $wide, f64::round_ties_even),
            Some("rmi") => whole!($to, $from, $wide, f64::floor),
            Some("rpi") => whole!($to, $from, $wide, f64::ceil),
            _ => whole!($to, $from, $wide, f64::trunc),
        }
    };
}

/// Values beyond the target's range become its nearest bound.
fn to_integer(m: &Mnemonic, to: Type, from: Type) -> Option<Pure> {
    Some(match from {
        Type::F32 => rounded!(m, to, f32, f64::from),
        Type::F64 => rounded!(m, to, f64, f64::from),
        Type::F16 => rounded!(m, to, f16, f16::to_f64),
        Type::Bf16 => rounded!(m, to, bf16, bf16::to_f64),
        _ => return None,
    })
}

fn float(m: &Mnemonic, to: Type, from: Type) -> Option<Pure> {
    let integral = m.has("rni") || m.has("rzi") || m.has("rmi") || m.has("rpi");
    if m.has("sat") {
        return match (to, from) {
            (Type::F32, Type::F32) => Some(lanes!(|a: f32| if a > 0.0 { a.min(1.0) } else { 0.0 })),
            _ => None,
        };
    }
    Some(match (to, from) {
        (Type::F32, Type::F32) if m.has("rni") => lanes!(|a: f32| a.round_ties_even()),
        (Type::F32, Type::F32) if m.has("rzi") => lanes!(|a: f32| a.trunc()),
        (Type::F32, Type::F32) if m.has("rmi") => lanes!(|a: f32| a.floor()),
        (Type::F32, Type::F32) if m.has("rpi") => lanes!(|a: f32| a.ceil()),
        (Type::F64, Type::F64) if m.has("rni") => lanes!(|a: f64| a.round_ties_even()),
        (Type::F64, Type::F64) if m.has("rzi") => lanes!(|a: f64| a.trunc()),
        (Type::F64, Type::F64) if m.has("rmi") => lanes!(|a: f64| a.floor()),
        (Type::F64, Type::F64) if m.has("rpi") => lanes!(|a: f64| a.ceil()),
        _ if integral => return None,
        (Type::F32, Type::F32) | (Type::F64, Type::F64) => lanes!(|a: u64| a),
        (Type::F64, Type::F32) => lanes!(|a: f32| f64::from(a)),
        (Type::F32, Type::F64) => match Rounding::of(m) {
            Rounding::Nearest => lanes!(|a: f64| a as f32),
            Rounding::Zero => lanes!(|a: f64| round(a, 0.0, Rounding::Zero)),
            Rounding::Down => lanes!(|a: f64| round(a, 0.0, Rounding::Down)),
            Rounding::Up => lanes!(|a: f64| round(a, 0.0, Rounding::Up)),
        },
        (Type::F32 | Type::F64, _) => widened(to, from)?,
        (Type::Bf16, Type::F32) if m.has("rz") => lanes!(|a: f32| toward_zero(a)),
        (Type::Bf16, Type::F32) => lanes!(|a: f32| to_bf16(a)),
        (Type::F16, Type::F32) if !m.has("rz") => lanes!(|a: f32| to_f16(a)),
        (Type::Bf16x2, Type::F32) if m.has("rz") => {
            lanes!(|high: f32, low: f32| u32::from(toward_zero(high)) << 16
                | u32::from(toward_zero(low)))
        }
        (Type::Bf16x2, Type::F32) => {
            lanes!(|high: f32, low: f32| u32::from(to_bf16(high)) << 16 | u32::from(to_bf16(low)))
        }
        (Type::F16x2, Type::F32) if !m.has("rz") => {
            lanes!(|high: f32, low: f32| u32::from(to_f16(high)) << 16 | u32::from(to_f16(low)))
        }
        (Type::F16, Type::F64) => lanes!(|a: f64| f16::from_f64(a)),
        (Type::Bf16, Type::F64) => lanes!(|a: f64| bf16::from_f64(a)),
        (Type::F16, Type::Bf16) => lanes!(|a: bf16| to_f16(a.to_f32())),
        (Type::Bf16, Type::F16) => lanes!(|a: f16| to_bf16(a.to_f32())),
        _ => return None,
    })
}

fn widened(to: Type, from: Type) -> Option<Pure> {
    wide(from)?;
    Some(match (to, from) {
        (Type::F32, Type::F16) => lanes!(|a: f16| a.to_f32()),
        (Type::F32, Type::Bf16) => bf16_to_f32,
        (Type::F64, Type::F16) => lanes!(|a: f16| a.to_f64()),
        (Type::F64, Type::Bf16) => lanes!(|a: bf16| a.to_f64()),
        _ => return None,
    })
}

fn bf16_to_f32([a, ..]: [&Lanes; 4]) -> Lanes {
    a.map(|word| (word & 0xffff) << 16)
}

/// To nearest, ties to even; every NaN becomes the canonical one.
pub(crate) fn to_bf16(a: f32) -> u16 {
    let bits = a.to_bits();
    match a.is_nan() {
        true => 0x7fff,
        false => (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16,
    }
}

fn toward_zero(a: f32) -> u16 {
    if a.is_nan() { 0x7fff } else { (a.to_bits() >> 16) as u16 }
}

fn to_f16(a: f32) -> u16 {
    if a.is_nan() { 0x7fff } else { f16::from_f32(a).to_bits() }
}
