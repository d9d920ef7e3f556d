//! Matrix instructions of a warp: `ldmatrix`, `stmatrix`, and `mma.sync` m16n8k16 of bf16 or f16 into f32
//! (PTX ISA, "Matrix Multiply-Accumulate Operation using mma instruction", with its figures of fragments).

use super::warp::{Collective, Kind};
use super::{Op, operand};
use crate::lanes::{Lanes, Word};
use crate::ptx::{Address, Mnemonic, Reg, Scope, Type, elements};

/// What the warp does together with matrices.
#[derive(Debug)]
pub(crate) enum Matrix {
    /// Up to four 8×8 matrices of 16-bit elements; lane `8 m + r` gives the address of row `r` of matrix `m`.
    Load { registers: Vec<Reg>, address: Address, is_transposed: bool },
    /// The reverse.
    Store { registers: Vec<Reg>, address: Address, is_transposed: bool },
    /// `d = a b + c`, 16×16 by 16×8.
    Multiply { d: [Reg; 4], a: [Reg; 4], b: [Reg; 2], c: [Reg; 4], wide: fn(u64) -> f32 },
}

/// Decodes any instruction of this family. All of them need the whole warp.
pub(crate) fn decode(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Op, String> {
    let kind = match m.base() {
        "ldmatrix" if m.has("m8n8") && m.has("b16") => Matrix::Load {
            registers: destinations(operand(operands, 0)?, scope)?,
            address: scope.address(operand(operands, 1)?)?,
            is_transposed: m.has("trans"),
        },
        "stmatrix" if m.has("m8n8") && m.has("b16") => Matrix::Store {
            address: scope.address(operand(operands, 0)?)?,
            registers: sources(operand(operands, 1)?, scope)?,
            is_transposed: m.has("trans"),
        },
        "mma" if m.has("m16n8k16") && m.has("row") && m.has("col") => multiply(m, operands, scope)?,
        _ => return Err("this matrix instruction is not emulated".to_owned()),
    };
    Ok(Op::Collective(Collective {
        members: scope.constant(u64::from(u32::MAX)),
        kind: Kind::Matrix(kind),
    }))
}

fn multiply(m: &Mnemonic, operands: &[&str], scope: &mut Scope) -> Result<Matrix, String> {
    let wide: fn(u64) -> f32 = match m.types().as_slice() {
        [Type::F32, Type::Bf16, Type::Bf16, Type::F32] => |word| half::bf16::of(word).to_f32(),
        [Type::F32, Type::F16, Type::F16, Type::F32] => |word| half::f16::of(word).to_f32(),
        _ => return Err("these matrix types are not emulated".to_owned()),
    };
    let wrong = |_| "a fragment has the wrong number of registers".to_owned();
    Ok(Matrix::Multiply {
        d: destinations(operand(operands, 0)?, scope)?.try_into().map_err(wrong)?,
        a: sources(operand(operands, 1)?, scope)?.try_into().map_err(wrong)?,
        b: sources(operand(operands, 2)?, scope)?.try_into().map_err(wrong)?,
        c: sources(operand(operands, 3)?, scope)?.try_into().map_err(wrong)?,
        wide,
    })
}

fn destinations(text: &str, scope: &mut Scope) -> Result<Vec<Reg>, String> {
    elements(text).iter().map(|name| scope.destination(name)).collect()
}

fn sources(text: &str, scope: &mut Scope) -> Result<Vec<Reg>, String> {
    elements(text).iter().map(|name| scope.source(name)).collect()
}

/// `a b + c` on fragments. Row `lane / 4` and column pair `lane % 4` are a lane's place in an 8×8 block; the sum runs over
/// `k` in order, in f32, where a card's order and intermediate width are not specified.
pub(crate) fn product(
    a: [&Lanes; 4],
    b: [&Lanes; 2],
    c: [&Lanes; 4],
    wide: fn(u64) -> f32,
) -> [Lanes; 4] {
    let mut left = [[0.0_f32; 16]; 16];
    let mut right = [[0.0_f32; 16]; 8];
    for lane in 0..32 {
        let (row, pair) = (lane / 4, lane % 4 * 2);
        for part in 0..2 {
            let element = |word: u64| wide(word >> (16 * part));
            left[row][pair + part] = element(a[0][lane]);
            left[row + 8][pair + part] = element(a[1][lane]);
            left[row][pair + part + 8] = element(a[2][lane]);
            left[row + 8][pair + part + 8] = element(a[3][lane]);
            right[row][pair + part] = element(b[0][lane]);
            right[row][pair + part + 8] = element(b[1][lane]);
        }
    }
    let mut d = [[0; 32]; 4];
    for (lane, place) in (0..32).flat_map(|lane| (0..4).map(move |place| (lane, place))) {
        let (row, column) = (lane / 4 + place / 2 * 8, lane % 4 * 2 + place % 2);
        let mut sum = f32::of(c[place][lane]);
        for k in 0..16 {
            sum += left[row][k] * right[column][k];
        }
        d[place][lane] = sum.word();
    }
    d
}
