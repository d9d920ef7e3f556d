//! The rules of the compile gate, one file each: a page and its examples. The compiler finds the offence.

pub(super) mod crash;
pub(super) mod crate_manifest;
pub(super) mod rustc;
pub(super) mod timeout;

use crate::Stage;
use crate::rules::{Example, Rule};

/// Every page of this gate.
pub(crate) const ALL: [Rule; 4] = [
    rustc::RULE,
    timeout::RULE,
    crash::RULE,
    crate_manifest::RULE,
];

const fn page(
    name: &'static str,
    what: &'static str,
    why: &'static str,
    hint: &'static str,
    rejected: Example,
) -> Rule {
    Rule {
        name,
        stage: Stage::Compile,
        what,
        why,
        hint,
        rejected,
        accepted: Example::Source(crate::source::rules::PLAIN_LOSS),
    }
}
