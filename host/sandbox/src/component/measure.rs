//! One row of the limits table held against a component: what was counted, how much of it there is, how much may be.

use serde::Serialize;

/// A count and its limit. The unit is in the name where it is not a plain count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// What was counted, in words.
    pub name: &'static str,
    /// How much of it the component has or may take.
    pub count: u64,
    /// How much it may have or take.
    pub limit: u64,
}

impl Measure {
    pub(super) fn new(name: &'static str, count: u64, limit: u64) -> Self {
        Measure { name, count, limit }
    }
}

/// The first that is beyond its limit, as a message with both numbers.
pub(super) fn first_beyond(measures: &[Measure]) -> Option<String> {
    let beyond = measures.iter().find(|measure| measure.count > measure.limit)?;
    Some(format!("has {} {}, expected at most {}", beyond.count, beyond.name, beyond.limit))
}
