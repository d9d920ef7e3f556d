//! Moves, selections and permutations of bytes (PTX ISA, "Data Movement and Conversion Instructions").

use super::{Op, operand, pure};
use crate::lanes::{Pure, lanes};
use crate::ptx::{Mnemonic, Reg, Scope, Type, elements};

/// `mov`, with its packing and unpacking forms.
pub(crate) fn decode(
    m: &Mnemonic,
    operands: &[&str],
    scope: &mut Scope,
) -> Result<Vec<Op>, String> {
    let (to, from) = (operand(operands, 0)?, operand(operands, 1)?);
    match (to.starts_with('{'), from.starts_with('{')) {
        (false, false) => {
            let (destination, source) = (scope.destination(to)?, scope.source(from)?);
            Ok(vec![pure(copy(m.ty()), destination, &[source], scope)])
        }
        (false, true) => pack(m, to, &elements(from), scope),
        (true, false) => unpack(m, &elements(to), from, scope),
        (true, true) => Err("a move of a vector to a vector is not emulated".to_owned()),
    }
}

fn copy(ty: Type) -> Pure {
    match ty.bytes() {
        1 if ty == Type::Pred => lanes!(|a: bool| a),
        1 => lanes!(|a: u8| a),
        2 => lanes!(|a: u16| a),
        4 => lanes!(|a: u32| a),
        _ => lanes!(|a: u64| a),
    }
}

/// `mov.b32 d, {a, b}`: the first element is the lowest.
fn pack(m: &Mnemonic, to: &str, parts: &[&str], scope: &mut Scope) -> Result<Vec<Op>, String> {
    let bits = element_bits(m, parts.len())?;
    let append: Pure = match bits {
        8 => lanes!(|so_far: u64, part: u8, shift: u32| so_far | u64::from(part) << shift),
        16 => lanes!(|so_far: u64, part: u16, shift: u32| so_far | u64::from(part) << shift),
        _ => lanes!(|so_far: u64, part: u32, shift: u32| so_far | u64::from(part) << shift),
    };
    let destination = scope.destination(to)?;
    let mut so_far = scope.constant(0);
    let mut ops = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let part = scope.source(part)?;
        let shift = scope.constant(place as u64 * u64::from(bits));
        let next = match place + 1 == parts.len() {
            true => destination,
            false => scope.scratch(),
        };
        ops.push(pure(append, next, &[so_far, part, shift], scope));
        so_far = next;
    }
    Ok(ops)
}

/// `mov.b32 {a, b}, d`. The source is copied first: it may be one of the destinations.
fn unpack(m: &Mnemonic, parts: &[&str], from: &str, scope: &mut Scope) -> Result<Vec<Op>, String> {
    let bits = element_bits(m, parts.len())?;
    let part_of: Pure = match bits {
        8 => lanes!(|a: u64, shift: u32| (a >> shift) as u8),
        16 => lanes!(|a: u64, shift: u32| (a >> shift) as u16),
        _ => lanes!(|a: u64, shift: u32| (a >> shift) as u32),
    };
    let (source, whole) = (scope.source(from)?, scope.scratch());
    let mut ops = vec![pure(copy(m.ty()), whole, &[source], scope)];
    for (place, part) in parts.iter().enumerate() {
        let destination: Reg = scope.destination(part)?;
        let shift = scope.constant(place as u64 * u64::from(bits));
        ops.push(pure(part_of, destination, &[whole, shift], scope));
    }
    Ok(ops)
}

fn element_bits(m: &Mnemonic, n: usize) -> Result<u32, String> {
    let bits = m.ty().bits() / n.max(1) as u32;
    let known = [8, 16, 32].contains(&bits) && m.ty().bits() <= 64;
    known
        .then_some(bits)
        .ok_or_else(|| format!("{n} parts of {} bits are not emulated", m.ty().bits()))
}

/// `selp`, `slct` and `prmt`.
pub(crate) fn function(m: &Mnemonic) -> Option<Pure> {
    Some(match m.base() {
        "selp" => match m.ty().bytes() {
            2 => lanes!(|a: u16, b: u16, chosen: bool| if chosen { a } else { b }),
            4 => lanes!(|a: u32, b: u32, chosen: bool| if chosen { a } else { b }),
            8 => lanes!(|a: u64, b: u64, chosen: bool| if chosen { a } else { b }),
            _ => return None,
        },
        "slct" if m.ty() == Type::F32 => {
            lanes!(|a: u64, b: u64, c: f32| if c >= 0.0 { a } else { b })
        }
        "slct" => lanes!(|a: u64, b: u64, c: i32| if c >= 0 { a } else { b }),
        "prmt" if m.types() == [Type::B32] && m.text == "prmt.b32" => {
            lanes!(|a: u32, b: u32, selector: u32| permute(a, b, selector))
        }
        _ => return None,
    })
}

/// Each nibble of the selector names a byte of `{b, a}`; its top bit asks for that byte's sign instead.
fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
    let picked = std::array::from_fn(|place| {
        let nibble = selector >> (4 * place) & 15;
        let byte = bytes[(nibble & 7) as usize];
        match nibble & 8 {
            0 => byte,
            _ => (byte as i8 >> 7) as u8,
        }
    });
    u32::from_le_bytes(picked)
}
