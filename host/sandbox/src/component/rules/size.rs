//! `component/size`

use super::page;
use crate::Rejection;
use crate::limits::COMPONENT_BYTES_MAX;
use crate::rules::{Example, Rule};

pub(crate) const PAGE: Rule = Rule {
    rejected: Example::LongComponent {
        shown: "a module with a memory of 2 MiB and as many bytes of data",
        text: || {
            let data = "x".repeat(2 << 20);
            format!("(component (core module (memory 32 32) (data (i32.const 0) \"{data}\")))")
        },
    },
    ..page(
        "component/size",
        "components of more than 1 MiB",
        "compiling machine code takes time and memory that grow faster than the code",
        "a loss of a few lines has about ten kilobytes",
        "",
    )
};

pub(in crate::component) fn check(bytes: &[u8]) -> Result<(), Rejection> {
    if bytes.len() <= COMPONENT_BYTES_MAX {
        return Ok(());
    }
    Err(PAGE.rejection(format!(
        "the component has more than {COMPONENT_BYTES_MAX} bytes"
    )))
}
