//! Loads, stores, address conversion and asynchronous copies (PTX ISA, "ld", "st", "cvta", "cp.async").

use super::{Op, operand, pure};
use crate::lanes::lanes;
use crate::machine::{LOCAL_BASE, SHARED_BASE};
use crate::ptx::{Address, Mnemonic, Reg, Scope, Type, elements};

/// Where an address points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// Global and constant memory: both lie in allocations.
    Global,
    Shared,
    Local,
    Parameter,
    /// Decided by the address.
    Generic,
}

impl Space {
    /// The space that a mnemonic names.
    pub(crate) fn of(m: &Mnemonic) -> Self {
        m.find(|part| match part {
            "global" | "const" => Some(Self::Global),
            "shared" | "shared::cta" => Some(Self::Shared),
            "local" => Some(Self::Local),
            "param" | "param::entry" => Some(Self::Parameter),
            _ => None,
        })
        .unwrap_or(Self::Generic)
    }
}

/// One vector access.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub(crate) space: Space,
    pub(crate) address: Address,
    /// Of one element.
    pub(crate) element_bytes: usize,
    /// Ordered against atomics: relaxed, acquire, release or volatile.
    pub(crate) is_atomic: bool,
}

/// Fills a register from a narrower value.
pub(crate) type Widen = fn(u64) -> u64;

/// `ld`.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) access: Access,
    pub(crate) destinations: Vec<Reg>,
    /// Widens each element to its register.
    pub(crate) widen: Vec<Option<Widen>>,
}

/// `st`.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) access: Access,
    pub(crate) sources: Vec<Reg>,
}

/// `cp.async`: `bytes` to shared memory, of which the first `source_bytes` come from global memory and the rest are zeros.
#[derive(Debug)]
pub(crate) struct CopyAsync {
    pub(crate) to: Address,
    pub(crate) from: Address,
    pub(crate) bytes: usize,
    pub(crate) source_bytes: Reg,
}

fn access(m: &Mnemonic, address: Address) -> Result<Access, String> {
    let ordered = ["relaxed", "acquire", "release", "volatile", "mmio"];
    let element_bytes = m.ty().bytes();
    if element_bytes > 8 {
        return Err("elements of 128 bits are not emulated".to_owned());
    }
    Ok(Access {
        space: Space::of(m),
        address,
        element_bytes,
        is_atomic: ordered.iter().any(|order| m.has(order)),
    })
}

/// Decodes a load.
pub(crate) fn load(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Load, String> {
    let address = scope.address(operand(operands, 1)?)?;
    let names = elements(operand(operands, 0)?);
    let widen = names.iter().map(|name| widening(m.ty(), scope.width(name))).collect();
    Ok(Load {
        access: access(m, address)?,
        destinations: names.iter().map(|name| scope.destination(name)).collect::<Result<_, _>>()?,
        widen,
    })
}

/// How a signed element fills a wider register.
fn widening(ty: Type, width: Option<u32>) -> Option<Widen> {
    if !ty.is_signed() {
        return None;
    }
    Some(match (ty.bytes(), width.unwrap_or(64)) {
        (1, 16) => |value| u64::from(value as i8 as i16 as u16),
        (1, 32) => |value| u64::from(value as i8 as i32 as u32),
        (1, _) => |value| value as i8 as i64 as u64,
        (2, 32) => |value| u64::from(value as i16 as i32 as u32),
        (2, 64) => |value| value as i16 as i64 as u64,
        (4, 64) => |value| value as i32 as i64 as u64,
        _ => return None,
    })
}

/// Decodes a store.
pub(crate) fn store(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Store, String> {
    let address = scope.address(operand(operands, 0)?)?;
    let names = elements(operand(operands, 1)?);
    Ok(Store {
        access: access(m, address)?,
        sources: names.iter().map(|name| scope.source(name)).collect::<Result<_, _>>()?,
    })
}

/// `cvta`: between an address in a space and a generic one. Global addresses are generic as they are.
pub(crate) fn to_or_from_generic(
    m: &Mnemonic,
    operands: &[&str],
    scope: &mut Scope,
) -> Result<Op, String> {
    let destination = scope.destination(operand(operands, 0)?)?;
    let source = scope.source(operand(operands, 1)?)?;
    let base = match Space::of(m) {
        Space::Shared => SHARED_BASE,
        Space::Local => LOCAL_BASE,
        Space::Global => 0,
        Space::Parameter | Space::Generic => {
            return Err("this conversion is not emulated".to_owned());
        }
    };
    let distance = if m.has("to") { base.wrapping_neg() } else { base };
    let distance = scope.constant(distance);
    let add = lanes!(|a: u64, distance: u64| a.wrapping_add(distance));
    Ok(pure(add, destination, &[source, distance], scope))
}

/// `cp.async` and what commits to it and waits for it.
pub(crate) fn copy(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Op, String> {
    if !m.text.starts_with("cp.async.") || m.has("bulk") || m.has("mbarrier") {
        return Err("this copy is not emulated".to_owned());
    }
    if m.has("commit_group") {
        return Ok(Op::CopyCommit);
    }
    if m.has("wait_all") {
        return Ok(Op::CopyWait(None));
    }
    if m.has("wait_group") {
        let n = operand(operands, 0)?.parse();
        return Ok(Op::CopyWait(Some(n.map_err(|_| "the count of groups is not a number")?)));
    }
    let bytes = operand(operands, 2)?.parse();
    let bytes: usize = bytes.map_err(|_| "the size of the copy is not a number")?;
    // Past the first-level cache go whole 16 bytes alone.
    if !matches!((bytes, m.has("cg")), (4 | 8, false) | (16, _)) {
        return Err(format!("a copy of {bytes} bytes does not exist"));
    }
    let source_bytes = match operands.get(3) {
        Some(name) => scope.source(name)?,
        None => scope.constant(bytes as u64),
    };
    Ok(Op::CopyAsync(CopyAsync {
        to: scope.address(operand(operands, 0)?)?,
        from: scope.address(operand(operands, 1)?)?,
        bytes,
        source_bytes,
    }))
}
