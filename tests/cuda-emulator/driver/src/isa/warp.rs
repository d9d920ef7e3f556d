//! Barriers, and what lanes of a warp do together: shuffles, votes, matches, reductions (PTX ISA, "bar", "bar.warp.sync",
//! "shfl.sync", "vote.sync", "match.sync", "redux.sync").

use super::matrix::Matrix;
use super::{Op, operand};
use crate::lanes::{Lanes, Mask, lanes_of};
use crate::ptx::{Mnemonic, Reg, Scope, Type};

/// A barrier of the block.
#[derive(Debug)]
pub(crate) struct Barrier {
    /// Which of the block's sixteen.
    pub(crate) number: Reg,
    /// How many threads it waits for; `None`: all of the block.
    pub(crate) n_threads: Option<Reg>,
    /// `bar.arrive`: counts and goes on.
    pub(crate) only_arrives: bool,
    /// `bar.red`: what the threads' predicates become.
    pub(crate) reduction: Option<BarrierReduction>,
}

/// `bar.red`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BarrierReduction {
    pub(crate) destination: Reg,
    pub(crate) predicate: Reg,
    /// The predicate counts where it is false.
    pub(crate) is_negated: bool,
    pub(crate) kind: Count,
}

/// What a number of predicates becomes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    All,
    Any,
    Number,
}

/// An instruction that needs all lanes of its mask.
#[derive(Debug)]
pub(crate) struct Collective {
    pub(crate) members: Reg,
    pub(crate) kind: Kind,
}

/// What the lanes do together.
#[derive(Debug)]
pub(crate) enum Kind {
    /// `bar.warp.sync`.
    Synchronise,
    Shuffle(Shuffle),
    Vote {
        destination: Reg,
        predicate: Reg,
        is_negated: bool,
        kind: VoteKind,
    },
    Match {
        destination: Reg,
        all: Option<Option<Reg>>,
        value: Reg,
        is_wide: bool,
    },
    Reduce {
        destination: Reg,
        value: Reg,
        join: fn(u32, u32) -> u32,
    },
    Matrix(Matrix),
}

/// `vote`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum VoteKind {
    All,
    Any,
    Uniform,
    Ballot,
}

/// `shfl.sync`.
#[derive(Debug)]
pub(crate) struct Shuffle {
    pub(crate) mode: ShuffleMode,
    pub(crate) destination: Reg,
    /// Whether the source lane was in range.
    pub(crate) in_range: Option<Reg>,
    pub(crate) value: Reg,
    pub(crate) lane: Reg,
    /// Clamp and segment mask.
    pub(crate) clamp: Reg,
}

/// Which lane is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ShuffleMode {
    Up,
    Down,
    Butterfly,
    Index,
}

impl Shuffle {
    /// The lane that `lane` reads, and whether it was in range (PTX ISA, "shfl.sync", "Semantics").
    pub(crate) fn source(&self, lane: usize, b: u64, c: u64) -> (usize, bool) {
        let (lane, b) = (lane as i64, (b & 31) as i64);
        let (segment, clamp) = ((c >> 8 & 31) as i64, (c & 31) as i64);
        let last = lane & segment | clamp & !segment;
        let first = lane & segment;
        let (source, in_range) = match self.mode {
            ShuffleMode::Up => (lane - b, lane - b >= last),
            ShuffleMode::Down => (lane + b, lane + b <= last),
            ShuffleMode::Butterfly => (lane ^ b, lane ^ b <= last),
            ShuffleMode::Index => {
                let source = first | b & !segment;
                (source, source <= last)
            }
        };
        match in_range {
            true => ((source & 31) as usize, true),
            false => (lane as usize, false),
        }
    }
}

/// Decodes any instruction of this family.
pub(crate) fn decode(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Op, String> {
    match m.base() {
        "bar" if m.part(1) == "warp" => collective(operand(operands, 0)?, Kind::Synchronise, scope),
        "bar" | "barrier" => barrier(m, operands, scope),
        "shfl" => shuffle(m, operands, scope),
        "vote" => vote(m, operands, scope),
        "match" => matching(m, operands, scope),
        "redux" => reduce(m, operands, scope),
        "activemask" => {
            Ok(Op::ActiveMask { destination: scope.destination(operand(operands, 0)?)? })
        }
        _ => Err("this instruction is not emulated".to_owned()),
    }
}

fn collective(members: &str, kind: Kind, scope: &mut Scope) -> Result<Op, String> {
    Ok(Op::Collective(Collective { members: scope.source(members)?, kind }))
}

fn barrier(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Op, String> {
    if m.has("cluster") {
        return Err("clusters are not emulated".to_owned());
    }
    // `bar.red` names its destination first.
    let (target, operands) = match m.has("red") {
        true => (operands.first().copied(), &operands[1.min(operands.len())..]),
        false => (None, operands),
    };
    let counted = operands.len() > if target.is_some() { 2 } else { 1 };
    Ok(Op::Barrier(Barrier {
        number: scope.source(operand(operands, 0)?)?,
        n_threads: match counted {
            true => Some(scope.source(operands[1])?),
            false => None,
        },
        only_arrives: m.has("arrive"),
        reduction: match target {
            Some(target) => Some(barrier_reduction(m, target, operands, scope)?),
            None => None,
        },
    }))
}

fn barrier_reduction(
    m: &Mnemonic,
    target: &str,
    operands: &[&str],
    scope: &mut Scope,
) -> Result<BarrierReduction, String> {
    let name = operands.last().copied().unwrap_or("");
    Ok(BarrierReduction {
        destination: scope.destination(target)?,
        predicate: scope.source(name.trim_start_matches('!'))?,
        is_negated: name.starts_with('!'),
        kind: match (m.has("and"), m.has("or")) {
            (true, _) => Count::All,
            (_, true) => Count::Any,
            _ => Count::Number,
        },
    })
}

fn shuffle(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Op, String> {
    let target = operand(operands, 0)?;
    let (value, in_range) = match target.split_once('|') {
        Some((value, in_range)) => (value, Some(scope.destination(in_range)?)),
        None => (target, None),
    };
    let shuffle = Shuffle {
        mode: match m.part(2) {
            "up" => ShuffleMode::Up,
            "down" => ShuffleMode::Down,
            "bfly" => ShuffleMode::Butterfly,
            "idx" => ShuffleMode::Index,
            _ => return Err("this shuffle is not emulated".to_owned()),
        },
        destination: scope.destination(value)?,
        in_range,
        value: scope.source(operand(operands, 1)?)?,
        lane: scope.source(operand(operands, 2)?)?,
        clamp: scope.source(operand(operands, 3)?)?,
    };
    collective(operand(operands, 4)?, Kind::Shuffle(shuffle), scope)
}

fn vote(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Op, String> {
    let name = operand(operands, 1)?;
    let kind = Kind::Vote {
        destination: scope.destination(operand(operands, 0)?)?,
        predicate: scope.source(name.trim_start_matches('!'))?,
        is_negated: name.starts_with('!'),
        kind: match m.part(2) {
            "all" => VoteKind::All,
            "any" => VoteKind::Any,
            "uni" => VoteKind::Uniform,
            "ballot" => VoteKind::Ballot,
            _ => return Err("this vote is not emulated".to_owned()),
        },
    };
    collective(operand(operands, 2)?, kind, scope)
}

fn matching(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Op, String> {
    let target = operand(operands, 0)?;
    let (mask, agreed) = match target.split_once('|') {
        Some((mask, agreed)) => (mask, Some(scope.destination(agreed)?)),
        None => (target, None),
    };
    let kind = Kind::Match {
        destination: scope.destination(mask)?,
        all: m.has("all").then_some(agreed),
        value: scope.source(operand(operands, 1)?)?,
        is_wide: m.ty().bits() == 64,
    };
    collective(operand(operands, 2)?, kind, scope)
}

fn reduce(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Op, String> {
    let join: fn(u32, u32) -> u32 = match (m.part(2), m.ty()) {
        ("add", _) => |a, b| a.wrapping_add(b),
        ("min", Type::S32) => |a, b| (a as i32).min(b as i32) as u32,
        ("max", Type::S32) => |a, b| (a as i32).max(b as i32) as u32,
        ("min", Type::U32) => |a, b| a.min(b),
        ("max", Type::U32) => |a, b| a.max(b),
        ("and", _) => |a, b| a & b,
        ("or", _) => |a, b| a | b,
        ("xor", _) => |a, b| a ^ b,
        _ => return Err("this reduction is not emulated".to_owned()),
    };
    let kind = Kind::Reduce {
        destination: scope.destination(operand(operands, 0)?)?,
        value: scope.source(operand(operands, 1)?)?,
        join,
    };
    collective(operand(operands, 2)?, kind, scope)
}

/// The lanes of `among` that hold the same value as `lane`.
pub(crate) fn same(values: &Lanes, lane: usize, among: Mask, is_wide: bool) -> Mask {
    let width = if is_wide { u64::MAX } else { u64::from(u32::MAX) };
    lanes_of(among)
        .filter(|other| values[*other] & width == values[lane] & width)
        .fold(0, |mask, other| mask | 1 << other)
}
