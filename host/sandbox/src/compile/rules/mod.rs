//! The pages of this gate, one file each.

mod crash;
mod crate_manifest;
mod rustc;
mod timeout;

use crate::rules::Rule;

pub(super) use crash::CRASH;
pub(super) use crate_manifest::MANIFEST;
pub(super) use rustc::RUSTC;
pub(super) use timeout::TIMEOUT;

/// Every page.
pub(crate) const ALL: [Rule; 4] = [RUSTC, TIMEOUT, CRASH, MANIFEST];
