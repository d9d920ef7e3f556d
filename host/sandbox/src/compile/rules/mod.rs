//! The rules of the compile gate, one file each: a page and its examples. The compiler finds the offence.

mod crash;
mod crate_manifest;
mod rustc;
mod timeout;

use crate::rules::Rule;

pub(super) use crash::CRASH;
pub(super) use crate_manifest::MANIFEST;
pub(super) use rustc::RUSTC;
pub(super) use timeout::TIMEOUT;

/// Every page of this gate.
pub(crate) const ALL: [Rule; 4] = [RUSTC, TIMEOUT, CRASH, MANIFEST];
