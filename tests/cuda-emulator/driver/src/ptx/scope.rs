//! The names of one kernel: registers, constants, special registers and addresses, each turned into a number once.

use std::collections::HashMap;

use super::mnemonic::Type;

/// A place in the register file, or, with the top bit, in the kernel's table of constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reg(u32);

const CONSTANT: u32 = 1 << 31;

impl Reg {
    /// The constant's index, where this is one.
    pub(crate) fn constant(self) -> Option<usize> {
        (self.0 & CONSTANT != 0).then_some((self.0 & !CONSTANT) as usize)
    }

    /// The register's index; only for what is not a constant.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A register that the machine sets when a warp begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "these are PTX's own names")]
pub(crate) enum Special {
    Tid(usize),
    Ntid(usize),
    Ctaid(usize),
    Nctaid(usize),
    Laneid,
    Warpid,
    Nwarpid,
    LanemaskEq,
    LanemaskLe,
    LanemaskLt,
    LanemaskGe,
    LanemaskGt,
    DynamicSmemSize,
}

impl Special {
    fn parse(name: &str) -> Option<Self> {
        let (base, axis) = match name.rsplit_once('.') {
            Some((base, "x")) => (base, 0),
            Some((base, "y")) => (base, 1),
            Some((base, "z")) => (base, 2),
            _ => (name, 0),
        };
        Some(match base {
            "%tid" => Self::Tid(axis),
            "%ntid" => Self::Ntid(axis),
            "%ctaid" => Self::Ctaid(axis),
            "%nctaid" => Self::Nctaid(axis),
            "%laneid" => Self::Laneid,
            "%warpid" => Self::Warpid,
            "%nwarpid" => Self::Nwarpid,
            "%lanemask_eq" => Self::LanemaskEq,
            "%lanemask_le" => Self::LanemaskLe,
            "%lanemask_lt" => Self::LanemaskLt,
            "%lanemask_ge" => Self::LanemaskGe,
            "%lanemask_gt" => Self::LanemaskGt,
            "%dynamic_smem_size" => Self::DynamicSmemSize,
            _ => return None,
        })
    }
}

/// An address operand: a register or constant, and a distance in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    /// What the distance is added to.
    pub(crate) base: Reg,
    /// In bytes; may be negative.
    pub(crate) offset: i64,
}

/// Everything a kernel's text can name.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    registers: HashMap<String, u32>,
    widths: HashMap<String, u32>,
    n_registers: u32,
    /// The values of the table of constants.
    pub(crate) constants: Vec<u64>,
    known_constants: HashMap<u64, u32>,
    /// Registers that the machine sets.
    pub(crate) specials: Vec<(Reg, Special)>,
    /// Addresses of variables and offsets of parameters.
    pub(crate) symbols: HashMap<String, u64>,
}

impl Scope {
    /// Registers in use.
    pub(crate) fn n_registers(&self) -> usize {
        self.n_registers as usize
    }

    /// Notes `.reg .b32 %r<10>` or `.reg .b16 low, high`, given without the `.reg`.
    pub(crate) fn declare(&mut self, declaration: &str) {
        let (ty, names) = declaration.trim().split_once(' ').unwrap_or(("", ""));
        let bits = Type::parse(ty.trim_start_matches('.')).map_or(64, Type::bits);
        for name in names.split(',') {
            let name = name.trim();
            let name = name.split_once('<').map_or(name, |(prefix, _)| prefix);
            self.widths.insert(name.to_owned(), bits);
        }
    }

    /// Width in bits of a declared register.
    pub(crate) fn width(&self, name: &str) -> Option<u32> {
        let prefix = name.trim_end_matches(|mark: char| mark.is_ascii_digit());
        self.widths.get(name).or_else(|| self.widths.get(prefix)).copied()
    }

    /// A register of nobody's, for what lies between two steps of one instruction.
    pub(crate) fn scratch(&mut self) -> Reg {
        let register = self.n_registers;
        self.n_registers += 1;
        Reg(register)
    }

    /// The register of a destination operand; `_` is a sink.
    pub(crate) fn destination(&mut self, name: &str) -> Result<Reg, String> {
        if name == "_" {
            return Ok(self.scratch());
        }
        if self.width(name).is_none() {
            return Err(format!("{name} is not a declared register"));
        }
        Ok(self.register(name))
    }

    fn register(&mut self, name: &str) -> Reg {
        if let Some(register) = self.registers.get(name) {
            return Reg(*register);
        }
        let Reg(register) = self.scratch();
        self.registers.insert(name.to_owned(), register);
        Reg(register)
    }

    /// The place of a constant.
    pub(crate) fn constant(&mut self, value: u64) -> Reg {
        let constants = &mut self.constants;
        let index = *self.known_constants.entry(value).or_insert_with(|| {
            constants.push(value);
            constants.len() as u32 - 1
        });
        Reg(index | CONSTANT)
    }

    /// A source operand: register, special register, number, or the address of a variable.
    pub(crate) fn source(&mut self, name: &str) -> Result<Reg, String> {
        if self.width(name).is_some() {
            return Ok(self.register(name));
        }
        if let Some(special) = Special::parse(name) {
            let known = self.registers.contains_key(name);
            let register = self.register(name);
            if !known {
                self.specials.push((register, special));
            }
            return Ok(register);
        }
        if let Some(address) = self.symbols.get(name).copied() {
            return Ok(self.constant(address));
        }
        if let Some((symbol, distance)) = name.split_once('+')
            && let Some(address) = self.symbols.get(symbol.trim()).copied()
        {
            let distance = number(distance.trim())?;
            return Ok(self.constant(address.wrapping_add(distance)));
        }
        let value = number(name)?;
        Ok(self.constant(value))
    }

    /// An address operand, with its brackets.
    pub(crate) fn address(&mut self, text: &str) -> Result<Address, String> {
        let inner = text.trim_start_matches('[').trim_end_matches(']').trim();
        let (base, offset) = match inner.split_once('+') {
            Some((base, offset)) => (base.trim(), number(offset.trim())? as i64),
            None => (inner, 0),
        };
        let base = self.source(base)?;
        Ok(Address { base, offset })
    }
}

/// The elements of `{a, b}`; a bare operand is a vector of one.
pub(crate) fn elements(text: &str) -> Vec<&str> {
    text.trim_start_matches('{').trim_end_matches('}').split(',').map(str::trim).collect()
}

/// A literal: decimal, hexadecimal, octal or binary, or the bits of a float (`0f3F800000`, `0d…`).
fn number(text: &str) -> Result<u64, String> {
    let unknown = || format!("{text} is neither a declared name nor a number");
    if text == "WARP_SZ" {
        return Ok(32);
    }
    if let Some(positive) = text.strip_prefix('-') {
        return Ok(number(positive)?.wrapping_neg());
    }
    let digits = text.trim_end_matches('U');
    let radix = |prefix: &[&str], radix| {
        let digits = prefix.iter().find_map(|prefix| text.strip_prefix(prefix))?;
        Some(u64::from_str_radix(digits.trim_end_matches('U'), radix).map_err(|_| unknown()))
    };
    radix(&["0f", "0F", "0d", "0D", "0x", "0X"], 16)
        .or_else(|| radix(&["0b", "0B"], 2))
        .unwrap_or_else(|| digits.parse().map_err(|_| unknown()))
}
