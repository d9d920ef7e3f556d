//! `compile/timeout`

use super::page;
use crate::rules::{Example, Rule};

pub(in crate::compile) const RULE: Rule = page(
    "compile/timeout",
    "source that keeps the compiler busy for longer than its wall clock",
    "constants, generics and patterns can make a compiler compute for ever",
    "a loss is a formula; compute at run time, not in constants, types or patterns",
    Example::Source(""),
);
