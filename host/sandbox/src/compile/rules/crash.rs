//! `compile/crash`: what a compiler comes to that runs into its limits.

use crate::Stage;
use crate::rules::Rule;

pub(crate) const CRASH: Rule = Rule {
    name: "compile/crash",
    stage: Stage::Compile,
    what: "source that makes the compiler crash or take more memory, time or disk than it may",
    why: "the limits are there for everybody else on the machine",
    hint: "write less deeply nested types and expressions, and no large constants",
    rejected: "",
    accepted: "",
};
