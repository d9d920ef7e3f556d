//! The thirteen published losses, held against PyTorch, against their formulas and against central
//! differences. What the same files do as components is the sandbox's tests' business.
#![allow(
    clippy::disallowed_methods,
    reason = "expected values come from the standard library's maths, not from the libm under test"
)]

mod described;
mod differences;
mod extremes;
mod formulas;
mod golden;
mod landscape;
mod pairs;
mod plugins;
