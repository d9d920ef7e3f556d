//! PTX text: statements, types, operands, and the module with its kernels.
//!
//! Nothing here knows what an instruction does; `isa` decodes each statement once, into what `machine` runs.

mod mnemonic;
mod module;
mod scope;
mod text;

pub(crate) use mnemonic::{Mnemonic, Type};
pub(crate) use module::{Kernel, Module, Parameter, PtxError, SharedVariable, Variable};
pub(crate) use scope::{Address, Reg, Scope, Special, elements};
pub(crate) use text::Statement;
