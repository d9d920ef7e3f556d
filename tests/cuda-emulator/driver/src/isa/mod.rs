//! The instructions, a file for each family: how each is decoded, and what it computes.
//!
//! A pure family gives a function for a mnemonic (`fn function(&Mnemonic) -> Option<Pure>`); what touches memory, control
//! flow or other lanes becomes an [`Op`] of its own, which `machine` carries out.

pub(crate) mod atomic;
pub(crate) mod convert;
pub(crate) mod float;
pub(crate) mod halves;
pub(crate) mod integer;
pub(crate) mod matrix;
pub(crate) mod memory;
pub(crate) mod moves;
pub(crate) mod predicate;
pub(crate) mod rounding;
pub(crate) mod special;
pub(crate) mod warp;

use std::collections::HashMap;

use crate::lanes::{Pure, integers, lanes};
use crate::ptx::{Mnemonic, Reg, Scope, Statement, Type};

/// One step of a kernel.
#[derive(Debug)]
pub(crate) struct Instruction {
    /// Only lanes in which this predicate is (not, with `true`) false take part.
    pub(crate) guard: Option<(Reg, bool)>,
    pub(crate) op: Op,
    /// The PTX line, counted from 1.
    pub(crate) line: u32,
    /// The statement, for reports.
    pub(crate) text: Box<str>,
}

impl Instruction {
    /// What ends a kernel whose text does not.
    pub(crate) fn exit(line: u32) -> Self {
        Self { guard: None, op: Op::Exit, line, text: "exit".into() }
    }
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Op {
    /// `destination = function(sources)`.
    Pure {
        function: Pure,
        destination: Reg,
        sources: [Reg; 4],
    },
    Load(memory::Load),
    Store(memory::Store),
    Atomic(atomic::Atomic),
    CopyAsync(memory::CopyAsync),
    CopyCommit,
    /// Waits until at most this many groups are under way; `None` waits for all copies.
    CopyWait(Option<u32>),
    Branch {
        target: usize,
    },
    BranchIndexed {
        index: Reg,
        targets: Vec<usize>,
    },
    Exit,
    Trap,
    Nothing,
    Barrier(warp::Barrier),
    Collective(warp::Collective),
    ActiveMask {
        destination: Reg,
    },
}

/// Decodes a statement into the steps that carry it out. Branch targets are the numbers of statements.
pub(crate) fn decode(
    statement: &Statement,
    scope: &mut Scope,
    labels: &HashMap<&str, usize>,
    tables: &HashMap<&str, Vec<&str>>,
) -> Result<Vec<Instruction>, String> {
    let (guard, name, operands) = statement.split();
    let guard = match guard {
        None => None,
        Some(name) => Some(match name.strip_prefix('!') {
            Some(name) => (scope.destination(name)?, true),
            None => (scope.destination(name)?, false),
        }),
    };
    let mnemonic = Mnemonic::new(name);
    let ops = match control(&mnemonic, &operands, scope, labels, tables)? {
        Some(op) => vec![op],
        None => computation(&mnemonic, &operands, scope)?,
    };
    Ok(ops
        .into_iter()
        .map(|op| Instruction {
            guard,
            op,
            line: statement.line,
            text: statement.text.as_str().into(),
        })
        .collect())
}

fn control(
    mnemonic: &Mnemonic,
    operands: &[&str],
    scope: &mut Scope,
    labels: &HashMap<&str, usize>,
    tables: &HashMap<&str, Vec<&str>>,
) -> Result<Option<Op>, String> {
    let target = |label: &str| {
        let target = labels.get(label).copied();
        target.ok_or_else(|| format!("there is no label {label}"))
    };
    Ok(Some(match mnemonic.base() {
        "bra" => Op::Branch { target: target(operand(operands, 0)?)? },
        "brx" => {
            let table = operand(operands, 1)?;
            let table = tables.get(table).ok_or_else(|| format!("no targets {table}"))?;
            Op::BranchIndexed {
                index: scope.source(operand(operands, 0)?)?,
                targets: table.iter().map(|label| target(label)).collect::<Result<_, _>>()?,
            }
        }
        "ret" | "exit" => Op::Exit,
        "trap" => Op::Trap,
        // Fences order what is already in order here; hints change nothing.
        "membar" | "fence" | "prefetch" | "prefetchu" | "discard" | "applypriority"
        | "nanosleep" | "griddepcontrol" => Op::Nothing,
        _ => return Ok(None),
    }))
}

fn computation(
    mnemonic: &Mnemonic,
    operands: &[&str],
    scope: &mut Scope,
) -> Result<Vec<Op>, String> {
    match mnemonic.base() {
        "ld" | "ldu" => return Ok(vec![Op::Load(memory::load(mnemonic, operands, scope)?)]),
        "st" => return Ok(vec![Op::Store(memory::store(mnemonic, operands, scope)?)]),
        "cp" => return Ok(vec![memory::copy(mnemonic, operands, scope)?]),
        "cvta" => return Ok(vec![memory::to_or_from_generic(mnemonic, operands, scope)?]),
        "atom" | "red" => return Ok(vec![Op::Atomic(atomic::decode(mnemonic, operands, scope)?)]),
        "bar" | "barrier" | "shfl" | "vote" | "match" | "redux" | "elect" | "activemask" => {
            return Ok(vec![warp::decode(mnemonic, operands, scope)?]);
        }
        "ldmatrix" | "stmatrix" | "mma" | "movmatrix" => {
            return Ok(vec![matrix::decode(mnemonic, operands, scope)?]);
        }
        "mov" => return moves::decode(mnemonic, operands, scope),
        "setp" => return predicate::set(mnemonic, operands, scope),
        _ => {}
    }
    let families = [
        integer::function,
        float::function,
        halves::function,
        convert::function,
        predicate::function,
        moves::function,
        special::function,
    ];
    let function = families.iter().find_map(|function| function(mnemonic));
    let function = function.ok_or("this instruction is not emulated")?;
    let destination = scope.destination(operand(operands, 0)?)?;
    let sources: Vec<Reg> =
        operands[1..].iter().map(|name| scope.source(name)).collect::<Result<_, _>>()?;
    if mnemonic.has("ftz") && mnemonic.types().contains(&Type::F32) {
        return Ok(flushed(mnemonic, function, destination, &sources, scope));
    }
    let mut ops = vec![pure(function, destination, &sources, scope)];
    let narrow = mnemonic.result_type();
    let wider = scope.width(operands[0]).unwrap_or(64) > narrow.bits();
    if mnemonic.base() == "cvt" && narrow.is_signed() && wider {
        ops.extend(sign_extended(narrow, destination, operands[0], scope));
    }
    Ok(ops)
}

/// The operand at this place.
pub(crate) fn operand<'a>(operands: &[&'a str], place: usize) -> Result<&'a str, String> {
    let found = operands.get(place).copied();
    found.ok_or_else(|| format!("operand {} is missing", place + 1))
}

/// A pure step; sources that are not given are zero.
pub(crate) fn pure(function: Pure, destination: Reg, given: &[Reg], scope: &mut Scope) -> Op {
    let mut sources = [scope.constant(0); 4];
    for (source, given) in sources.iter_mut().zip(given) {
        *source = *given;
    }
    Op::Pure { function, destination, sources }
}

/// `.ftz`: subnormal inputs and results become zeros of their sign.
fn flushed(
    mnemonic: &Mnemonic,
    function: Pure,
    destination: Reg,
    sources: &[Reg],
    scope: &mut Scope,
) -> Vec<Op> {
    let flush = lanes!(|a: f32| float::flush(a));
    let (mut ops, mut flat) = (Vec::new(), Vec::new());
    for source in sources {
        let scratch = scope.scratch();
        let from_f32 = mnemonic.ty() == Type::F32;
        let function = if from_f32 { flush } else { lanes!(|a: u64| a) };
        ops.push(pure(function, scratch, &[*source], scope));
        flat.push(scratch);
    }
    ops.push(pure(function, destination, &flat, scope));
    if mnemonic.result_type() == Type::F32 && mnemonic.base() != "set" {
        ops.push(pure(flush, destination, &[destination], scope));
    }
    ops
}

/// A signed result in a wider register fills it with its sign.
fn sign_extended(narrow: Type, register: Reg, name: &str, scope: &mut Scope) -> Option<Op> {
    let wide = scope.width(name).unwrap_or(64);
    let to_64 = |ty| -> Option<Pure> { Some(integers!(ty, |a: T| a as i64)) };
    let to_32 = |ty| -> Option<Pure> { Some(integers!(ty, |a: T| a as i32)) };
    let to_16 = |ty| -> Option<Pure> { Some(integers!(ty, |a: T| a as i16)) };
    let function = match wide {
        64 => to_64(narrow),
        32 => to_32(narrow),
        _ => to_16(narrow),
    }?;
    Some(pure(function, register, &[register], scope))
}
