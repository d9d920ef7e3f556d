//! `compile/timeout`: the wall clock of the compiler.

use crate::Stage;
use crate::rules::Rule;

pub(crate) const TIMEOUT: Rule = Rule {
    name: "compile/timeout",
    stage: Stage::Compile,
    what: "source that keeps the compiler busy for longer than its wall clock",
    why: "constants, generics and macros can make a compiler compute for ever",
    hint: "a loss is a formula; compute at run time, not in constants",
    rejected: "",
    accepted: "",
};
