//! `component/memory`

use super::{ComponentRule, page};
use crate::component::survey::Survey;
use crate::limits::MEMORY_BYTES_MAX;

pub(super) const RULE: ComponentRule = ComponentRule {
    page: page(
        "component/memory",
        "memories without a maximum, or that may grow beyond 64 MiB together",
        "memory is paid by everybody on the machine",
        "link with --max-memory=67108864",
        "(component (core module (memory 1)))",
    ),
    find,
};

fn find(survey: &Survey) -> Option<String> {
    let mut total = 0_u64;
    for memory in &survey.memories {
        let Some(bytes_max) = memory.bytes_max else {
            return Some("a memory has no maximum".to_owned());
        };
        total = total.saturating_add(bytes_max);
    }
    (total > MEMORY_BYTES_MAX as u64)
        .then(|| format!("memory may grow to {total} bytes, expected at most {MEMORY_BYTES_MAX}"))
}
