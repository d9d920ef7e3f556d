//! Integer arithmetic, logic and shifts (PTX ISA, "Integer Arithmetic Instructions", "Logic and Shift Instructions").

use crate::lanes::{Pure, integers, lanes};
use crate::ptx::{Mnemonic, Type};

/// The function of an integer or logic instruction.
pub(crate) fn function(m: &Mnemonic) -> Option<Pure> {
    let ty = m.ty();
    Some(match m.base() {
        "add" if m.has("sat") && ty == Type::S32 => lanes!(|a: i32, b: i32| a.saturating_add(b)),
        "sub" if m.has("sat") && ty == Type::S32 => lanes!(|a: i32, b: i32| a.saturating_sub(b)),
        "add" => integers!(ty, |a: T, b: T| a.wrapping_add(b)),
        "sub" => integers!(ty, |a: T, b: T| a.wrapping_sub(b)),
        "mul" if m.has("wide") => wide_product(ty)?,
        "mul" if m.has("hi") => integers!(ty, |a: T, b: T| high(a as W, b as W, T::BITS) as T),
        "mul" => integers!(ty, |a: T, b: T| a.wrapping_mul(b)),
        "mul24" => integers!(ty, |a: T, b: T| a.wrapping_mul(b)),
        "mad" if m.has("wide") => wide_product_and_sum(ty)?,
        "mad" if m.has("hi") => {
            integers!(ty, |a: T, b: T, c: T| (high(a as W, b as W, T::BITS) as T).wrapping_add(c))
        }
        "mad" if matches!(ty, Type::F32 | Type::F64) => return None,
        "mad" => integers!(ty, |a: T, b: T, c: T| a.wrapping_mul(b).wrapping_add(c)),
        "sad" => integers!(ty, |a: T, b: T, c: T| a.abs_diff(b).wrapping_add(c as _)),
        // The result of a division by zero is not specified; all ones is what cards give.
        "div" => integers!(ty, |a: T, b: T| if b == 0 { !0 } else { a.wrapping_div(b) }),
        "rem" => integers!(ty, |a: T, b: T| if b == 0 { a } else { a.wrapping_rem(b) }),
        "min" => integers!(ty, |a: T, b: T| a.min(b)),
        "max" => integers!(ty, |a: T, b: T| a.max(b)),
        "neg" => integers!(ty, |a: T| (0 as T).wrapping_sub(a)),
        "abs" => match ty {
            Type::S16 => lanes!(|a: i16| a.wrapping_abs()),
            Type::S32 => lanes!(|a: i32| a.wrapping_abs()),
            Type::S64 => lanes!(|a: i64| a.wrapping_abs()),
            _ => return None,
        },
        "and" if ty == Type::Pred => lanes!(|a: bool, b: bool| a & b),
        "or" if ty == Type::Pred => lanes!(|a: bool, b: bool| a | b),
        "xor" if ty == Type::Pred => lanes!(|a: bool, b: bool| a ^ b),
        "not" if ty == Type::Pred => lanes!(|a: bool| !a),
        "and" => integers!(ty, |a: T, b: T| a & b),
        "or" => integers!(ty, |a: T, b: T| a | b),
        "xor" => integers!(ty, |a: T, b: T| a ^ b),
        "not" => integers!(ty, |a: T| !a),
        "cnot" => integers!(ty, |a: T| T::from(a == 0)),
        "lop3" => lanes!(|a: u32, b: u32, c: u32, table: u32| lop3(a, b, c, table)),
        // Shift amounts beyond the width are clamped to it.
        "shl" => integers!(ty, |a: T, b: u32| a.checked_shl(b).unwrap_or(0)),
        "shr" => {
            integers!(ty, |a: T, b: u32| a >> b.min(T::BITS - 1) >> u32::from(b >= T::BITS).min(1))
        }
        "shf" => funnel(m),
        "bfe" => match ty {
            Type::U32 => lanes!(|a: u32, at: u32, n: u32| extract(u64::from(a), 32, at, n)),
            Type::U64 => lanes!(|a: u64, at: u32, n: u32| extract(a, 64, at, n)),
            Type::S32 => {
                lanes!(|a: i32, at: u32, n: u32| extract_signed(i64::from(a), 32, at, n) as i32)
            }
            Type::S64 => lanes!(|a: i64, at: u32, n: u32| extract_signed(a, 64, at, n)),
            _ => return None,
        },
        "bfi" => match ty.bits() {
            32 => lanes!(|a: u64, b: u64, at: u32, n: u32| insert(a, b, 32, at, n)),
            _ => lanes!(|a: u64, b: u64, at: u32, n: u32| insert(a, b, 64, at, n)),
        },
        "bmsk" => lanes!(|at: u32, n: u32| insert(!0, 0, 32, at & 255, n & 255)),
        "popc" => integers!(ty, |a: T| a.count_ones()),
        "clz" => integers!(ty, |a: T| a.leading_zeros()),
        "brev" => integers!(ty, |a: T| a.reverse_bits()),
        "bfind" => find_leading(m)?,
        "dp4a" => dot4(m),
        _ => return None,
    })
}

fn wide_product(ty: Type) -> Option<Pure> {
    Some(match ty {
        Type::U16 => lanes!(|a: u16, b: u16| u32::from(a) * u32::from(b)),
        Type::S16 => lanes!(|a: i16, b: i16| i32::from(a) * i32::from(b)),
        Type::U32 => lanes!(|a: u32, b: u32| u64::from(a) * u64::from(b)),
        Type::S32 => lanes!(|a: i32, b: i32| i64::from(a) * i64::from(b)),
        _ => return None,
    })
}

fn wide_product_and_sum(ty: Type) -> Option<Pure> {
    Some(match ty {
        Type::U16 => lanes!(|a: u16, b: u16, c: u32| (u32::from(a) * u32::from(b)).wrapping_add(c)),
        Type::S16 => lanes!(|a: i16, b: i16, c: i32| (i32::from(a) * i32::from(b)).wrapping_add(c)),
        Type::U32 => lanes!(|a: u32, b: u32, c: u64| (u64::from(a) * u64::from(b)).wrapping_add(c)),
        Type::S32 => lanes!(|a: i32, b: i32, c: i64| (i64::from(a) * i64::from(b)).wrapping_add(c)),
        _ => return None,
    })
}

/// The upper half of a product.
fn high<W: std::ops::Mul<Output = W> + std::ops::Shr<u32, Output = W>>(a: W, b: W, bits: u32) -> W {
    (a * b) >> bits
}

/// Bit `i` of the result is the bit of `table` that the bits `i` of `a`, `b` and `c` number.
fn lop3(a: u32, b: u32, c: u32, table: u32) -> u32 {
    (0..8).filter(|row| table >> row & 1 == 1).fold(0, |result, row| {
        let choose = |value: u32, bit: u32| if row >> bit & 1 == 1 { value } else { !value };
        result | (choose(a, 2) & choose(b, 1) & choose(c, 0))
    })
}

/// `shf`: the upper or lower word of `{b, a}`, shifted.
fn funnel(m: &Mnemonic) -> Pure {
    match (m.has("l"), m.has("wrap")) {
        (true, true) => lanes!(|a: u32, b: u32, n: u32| ((pair(a, b) << (n & 31)) >> 32) as u32),
        (true, false) => lanes!(|a: u32, b: u32, n: u32| ((pair(a, b) << n.min(32)) >> 32) as u32),
        (false, true) => lanes!(|a: u32, b: u32, n: u32| (pair(a, b) >> (n & 31)) as u32),
        (false, false) => lanes!(|a: u32, b: u32, n: u32| (pair(a, b) >> n.min(32)) as u32),
    }
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn ones(n: u32) -> u64 {
    1_u64.checked_shl(n).map_or(!0, |bit| bit - 1)
}

fn extract(a: u64, bits: u32, at: u32, n: u32) -> u64 {
    let (at, n) = (at & 255, n & 255);
    a.checked_shr(at).unwrap_or(0) & ones(n.min(bits))
}

/// The field's top bit, or the value's where the field reaches beyond it, fills the rest.
fn extract_signed(a: i64, bits: u32, at: u32, n: u32) -> i64 {
    let (at, n) = (at & 255, n & 255);
    if n == 0 {
        return 0;
    }
    let top = (at + n - 1).min(bits - 1);
    let shifted = a >> at.min(63);
    let field = shifted as u64 & ones(n);
    match a >> top & 1 {
        1 => (field | !ones(n.min(bits.saturating_sub(at)))) as i64,
        _ => field as i64,
    }
}

fn insert(a: u64, b: u64, bits: u32, at: u32, n: u32) -> u64 {
    let (at, n) = (at & 255, n & 255);
    let mask = ones(n).checked_shl(at).unwrap_or(0) & ones(bits);
    (b & !mask | a.checked_shl(at).unwrap_or(0) & mask) & ones(bits)
}

/// `bfind`: the place of the highest bit that differs from the sign; all ones where there is none.
fn find_leading(m: &Mnemonic) -> Option<Pure> {
    let shift = m.has("shiftamt");
    Some(match (m.ty(), shift) {
        (Type::U32, false) => lanes!(|a: u32| a.checked_ilog2().unwrap_or(!0)),
        (Type::U32, true) => lanes!(|a: u32| a.checked_ilog2().map_or(!0, |place| 31 - place)),
        (Type::S32, false) => lanes!(|a: i32| ((a ^ a >> 31) as u32).checked_ilog2().unwrap_or(!0)),
        (Type::U64, false) => lanes!(|a: u64| a.checked_ilog2().unwrap_or(!0)),
        (Type::S64, false) => lanes!(|a: i64| ((a ^ a >> 63) as u64).checked_ilog2().unwrap_or(!0)),
        _ => return None,
    })
}

/// `dp4a`: four products of bytes, added.
fn dot4(m: &Mnemonic) -> Pure {
    match (m.part(1) == "s32", m.part(2) == "s32") {
        (true, true) => lanes!(|a: u32, b: u32, c: i32| dot(
            a.to_le_bytes().map(|v| i32::from(v as i8)),
            b.to_le_bytes().map(|v| i32::from(v as i8)),
            c
        )),
        (true, false) => lanes!(|a: u32, b: u32, c: i32| dot(
            a.to_le_bytes().map(|v| i32::from(v as i8)),
            b.to_le_bytes().map(i32::from),
            c
        )),
        (false, true) => lanes!(|a: u32, b: u32, c: i32| dot(
            a.to_le_bytes().map(i32::from),
            b.to_le_bytes().map(|v| i32::from(v as i8)),
            c
        )),
        (false, false) => lanes!(|a: u32, b: u32, c: i32| dot(
            a.to_le_bytes().map(i32::from),
            b.to_le_bytes().map(i32::from),
            c
        )),
    }
}

fn dot(a: [i32; 4], b: [i32; 4], c: i32) -> i32 {
    (0..4).fold(c, |sum, i| sum.wrapping_add(a[i].wrapping_mul(b[i])))
}
