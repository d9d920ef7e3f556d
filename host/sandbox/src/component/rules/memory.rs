//! `component/memory`

use super::ComponentRule;
use crate::Stage;
use crate::component::measure::{Measure, first_beyond};
use crate::component::survey::Survey;
use crate::limits::{MEMORIES_MAX, MEMORY_BYTES_MAX};
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        name: "component/memory",
        stage: Stage::Component,
        what: "memories without a maximum, or more than 64 MiB or two memories in all",
        why: "memory is paid by everybody on the machine",
        hint: "link with --max-memory=67108864",
        rejected: Example::Component("(component (core module (memory 1)))"),
        accepted: Example::PLAIN,
    },
    measures,
    find: |survey| {
        if survey.memories.iter().any(|memory| memory.bytes_max.is_none()) {
            return Some("a memory has no maximum".to_owned());
        }
        first_beyond(&measures(survey))
    },
};

fn measures(survey: &Survey) -> Vec<Measure> {
    let bytes_max = survey.memories.iter().filter_map(|memory| memory.bytes_max);
    let total = bytes_max.fold(0_u64, u64::saturating_add);
    vec![
        Measure::new("memories", survey.memories.len() as u64, MEMORIES_MAX as u64),
        Measure::new("bytes of memory at most", total, MEMORY_BYTES_MAX as u64),
    ]
}
