//! Atomics (PTX ISA, "atom", "red").

use super::operand;
use crate::isa::memory::{Access, Space};
use crate::lanes::Word;
use crate::ptx::{Mnemonic, Reg, Scope, Type};

/// `new = change(old, operand, second operand)`, all in the low bits.
pub(crate) type Change = fn(u64, u64, u64) -> u64;

/// An atomic: reads, changes, writes, and gives the old value where a destination asks for it.
#[derive(Debug)]
pub(crate) struct Atomic {
    pub(crate) access: Access,
    pub(crate) destination: Option<Reg>,
    pub(crate) operands: [Reg; 2],
    pub(crate) change: Change,
}

/// Decodes `atom` (with a destination) or `red` (without).
pub(crate) fn decode(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Atomic, String> {
    let returns = m.base() == "atom";
    let destination = match returns {
        true => Some(scope.destination(operand(operands, 0)?)?),
        false => None,
    };
    let rest = &operands[usize::from(returns)..];
    let first = scope.source(operand(rest, 1)?)?;
    let second = match rest.get(2) {
        Some(name) => scope.source(name)?,
        None => scope.constant(0),
    };
    let change = change(m).ok_or("this atomic is not emulated")?;
    Ok(Atomic {
        access: Access {
            space: Space::of(m),
            address: scope.address(operand(rest, 0)?)?,
            element_bytes: m.ty().bytes(),
            is_atomic: true,
        },
        destination,
        operands: [first, second],
        change,
    })
}

macro_rules! changes {
    ($t:ty, $f:expr) => {{
        fn change(old: u64, operand: u64, _: u64) -> u64 {
            let f: fn($t, $t) -> $t = $f;
            f(<$t>::of(old), <$t>::of(operand)).word()
        }
        change as Change
    }};
}

fn change(m: &Mnemonic) -> Option<Change> {
    let operation = m.find(|part| {
        let known = ["add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"];
        known.iter().find(|known| **known == part).copied()
    })?;
    Some(match (operation, m.ty()) {
        ("add", Type::U32 | Type::S32) => changes!(u32, |old, a| old.wrapping_add(a)),
        ("add", Type::U64 | Type::S64) => changes!(u64, |old, a| old.wrapping_add(a)),
        ("add", Type::F32) => changes!(f32, |old, a| old + a),
        ("add", Type::F64) => changes!(f64, |old, a| old + a),
        ("min", Type::U32) => changes!(u32, |old, a| old.min(a)),
        ("min", Type::S32) => changes!(i32, |old, a| old.min(a)),
        ("min", Type::U64) => changes!(u64, |old, a| old.min(a)),
        ("min", Type::S64) => changes!(i64, |old, a| old.min(a)),
        ("max", Type::U32) => changes!(u32, |old, a| old.max(a)),
        ("max", Type::S32) => changes!(i32, |old, a| old.max(a)),
        ("max", Type::U64) => changes!(u64, |old, a| old.max(a)),
        ("max", Type::S64) => changes!(i64, |old, a| old.max(a)),
        ("and", _) => changes!(u64, |old, a| old & a),
        ("or", _) => changes!(u64, |old, a| old | a),
        ("xor", _) => changes!(u64, |old, a| old ^ a),
        ("exch", _) => changes!(u64, |_, a| a),
        ("inc", Type::U32) => changes!(u32, |old, a| if old >= a { 0 } else { old + 1 }),
        ("dec", Type::U32) => changes!(u32, |old, a| if old == 0 || old > a { a } else { old - 1 }),
        ("cas", ty) => match ty.bytes() {
            2 => |old, compare, new| {
                if old as u16 == compare as u16 { new } else { old }
            },
            4 => |old, compare, new| {
                if old as u32 == compare as u32 { new } else { old }
            },
            8 => |old, compare, new| if old == compare { new } else { old },
            _ => return None,
        },
        _ => return None,
    })
}
