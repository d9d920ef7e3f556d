//! `component/size`

use super::page;
use crate::Rejection;
use crate::limits::COMPONENT_BYTES_MAX;
use crate::rules::Rule;

pub(crate) const PAGE: Rule = page(
    "component/size",
    "components of more than 1 MiB",
    "compiling machine code takes time and memory that grow faster than the code",
    "a loss of a few lines has about ten kilobytes",
    "",
);

pub(in crate::component) fn check(bytes: &[u8]) -> Result<(), Rejection> {
    if bytes.len() <= COMPONENT_BYTES_MAX {
        return Ok(());
    }
    Err(PAGE.rejection(format!(
        "the component has more than {COMPONENT_BYTES_MAX} bytes"
    )))
}
