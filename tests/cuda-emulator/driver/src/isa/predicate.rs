//! Comparisons (PTX ISA, "Comparison and Selection Instructions").

use half::{bf16, f16};

use super::{Op, operand, pure};
use crate::lanes::{Pure, Word, integers, lanes};
use crate::ptx::{Mnemonic, Scope, Type};

/// `setp`, which may write the opposite too (`p|q`) and may join the result with a predicate (`.and`).
pub(crate) fn set(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Vec<Op>, String> {
    let targets = operand(operands, 0)?;
    let (first, second) = match targets.split_once('|') {
        Some((first, second)) => (first, Some(second)),
        None => (targets, None),
    };
    let compare = comparison(m).ok_or("this comparison is not emulated")?;
    let sources = [scope.source(operand(operands, 1)?)?, scope.source(operand(operands, 2)?)?];
    let holds = scope.scratch();
    let mut ops = vec![pure(compare, holds, &sources, scope)];
    let not = lanes!(|a: bool| !a);
    let opposite = scope.scratch();
    ops.push(pure(not, opposite, &[holds], scope));
    let join = match (m.has("and"), m.has("or"), m.has("xor")) {
        (true, ..) => Some(lanes!(|a: bool, b: bool| a & b)),
        (_, true, _) => Some(lanes!(|a: bool, b: bool| a | b)),
        (.., true) => Some(lanes!(|a: bool, b: bool| a ^ b)),
        _ => None,
    };
    let mut joined = [holds, opposite];
    if let Some(join) = join {
        let name = operand(operands, 3)?;
        let mut other = scope.source(name.trim_start_matches('!'))?;
        if name.starts_with('!') {
            let negated = scope.scratch();
            ops.push(pure(not, negated, &[other], scope));
            other = negated;
        }
        for part in &mut joined {
            let whole = scope.scratch();
            ops.push(pure(join, whole, &[*part, other], scope));
            *part = whole;
        }
    }
    if second.is_none() && join.is_none() {
        // The usual form: one step.
        let destination = scope.destination(first)?;
        return Ok(vec![pure(compare, destination, &sources, scope)]);
    }
    let copy = lanes!(|a: bool| a);
    let first = scope.destination(first)?;
    ops.push(pure(copy, first, &[joined[0]], scope));
    if let Some(second) = second {
        let second = scope.destination(second)?;
        ops.push(pure(copy, second, &[joined[1]], scope));
    }
    Ok(ops)
}

/// `set`, whose result is all ones or 1.0.
pub(crate) fn function(m: &Mnemonic) -> Option<Pure> {
    if m.base() != "set" {
        return None;
    }
    let (to, from) = (m.result_type(), m.ty());
    Some(match (m.part(1), to, from) {
        ("eq", Type::U32 | Type::S32, Type::U32 | Type::S32 | Type::B32) => {
            lanes!(|a: u32, b: u32| if a == b { !0_u32 } else { 0 })
        }
        ("ne", Type::U32 | Type::S32, Type::U32 | Type::S32 | Type::B32) => {
            lanes!(|a: u32, b: u32| if a != b { !0_u32 } else { 0 })
        }
        ("lt", Type::F32, Type::F32) => lanes!(|a: f32, b: f32| if a < b { 1.0_f32 } else { 0.0 }),
        ("gt", Type::F32, Type::F32) => lanes!(|a: f32, b: f32| if a > b { 1.0_f32 } else { 0.0 }),
        _ => return None,
    })
}

macro_rules! floats {
    ($name:expr, $t:ty) => {
        match $name {
            "eq" => lanes!(|a: $t, b: $t| a == b),
            // Without `u`, a comparison with NaN is false, this one too.
            "ne" => lanes!(|a: $t, b: $t| a.partial_cmp(&b).is_some_and(|order| order.is_ne())),
            "lt" => lanes!(|a: $t, b: $t| a < b),
            "le" => lanes!(|a: $t, b: $t| a <= b),
            "gt" => lanes!(|a: $t, b: $t| a > b),
            "ge" => lanes!(|a: $t, b: $t| a >= b),
            "equ" => lanes!(|a: $t, b: $t| a.partial_cmp(&b).is_none_or(|order| order.is_eq())),
            "neu" => lanes!(|a: $t, b: $t| a != b),
            "ltu" => lanes!(|a: $t, b: $t| a.partial_cmp(&b).is_none_or(|order| order.is_lt())),
            "leu" => lanes!(|a: $t, b: $t| a.partial_cmp(&b).is_none_or(|order| order.is_le())),
            "gtu" => lanes!(|a: $t, b: $t| a.partial_cmp(&b).is_none_or(|order| order.is_gt())),
            "geu" => lanes!(|a: $t, b: $t| a.partial_cmp(&b).is_none_or(|order| order.is_ge())),
            "num" => lanes!(|a: $t, b: $t| a.partial_cmp(&b).is_some()),
            "nan" => lanes!(|a: $t, b: $t| a.partial_cmp(&b).is_none()),
            _ => return None,
        }
    };
}

fn comparison(m: &Mnemonic) -> Option<Pure> {
    let (name, ty) = (m.part(1), m.ty());
    Some(match ty {
        Type::F32 if m.has("ftz") => flushed(name)?,
        Type::F32 => floats!(name, f32),
        Type::F64 => floats!(name, f64),
        Type::F16 => floats!(name, f16),
        Type::Bf16 => floats!(name, bf16),
        _ => match name {
            "eq" => integers!(ty, |a: T, b: T| a == b),
            "ne" => integers!(ty, |a: T, b: T| a != b),
            "lt" | "lo" => integers!(ty, |a: T, b: T| a < b),
            "le" | "ls" => integers!(ty, |a: T, b: T| a <= b),
            "gt" | "hi" => integers!(ty, |a: T, b: T| a > b),
            "ge" | "hs" => integers!(ty, |a: T, b: T| a >= b),
            _ => return None,
        },
    })
}

/// An f32 that reads as zero where it is subnormal.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Flat(f32);

impl Word for Flat {
    fn of(word: u64) -> Self {
        Self(super::float::flush(f32::of(word)))
    }
    fn word(self) -> u64 {
        self.0.word()
    }
}

fn flushed(name: &str) -> Option<Pure> {
    Some(floats!(name, Flat))
}
