//! `component/size`

use crate::limits::COMPONENT_BYTES_MAX;
use crate::rules::{Example, Rule};
use crate::{Rejection, Stage};

pub(crate) const PAGE: Rule = Rule {
    name: "component/size",
    stage: Stage::Component,
    what: "components of more than 1 MiB",
    why: "compiling machine code takes time and memory that grow faster than the code",
    hint: "a loss of a few lines has about ten kilobytes",
    rejected: Example::LongComponent {
        shown: "a module with a memory of 2 MiB and as many bytes of data",
        text: || {
            let data = "x".repeat(2 << 20);
            format!("(component (core module (memory 32 32) (data (i32.const 0) \"{data}\")))")
        },
    },
    accepted: Example::PLAIN,
};

pub(in crate::component) fn check(bytes: &[u8]) -> Result<(), Rejection> {
    if bytes.len() <= COMPONENT_BYTES_MAX {
        return Ok(());
    }
    Err(PAGE.rejection(format!("the component has more than {COMPONENT_BYTES_MAX} bytes")))
}
