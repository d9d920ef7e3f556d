//! The published losses that open every archive, embedded so that they are there in any directory.
//!
//! They are plugins like any other: a run takes them through the same gates as a proposal. The list is the catalogue's;
//! here a published loss becomes a candidate.

use sha2::{Digest, Sha256};

use crate::candidate::{Candidate, CandidateId, hex};

pub use catalogue::{ALL, Published as Baseline, named};

/// The origin of baselines as candidates.
pub(crate) const ORIGIN: &str = "baseline";

/// A baseline as a run sees it.
pub(crate) fn candidate(baseline: &Baseline) -> Candidate {
    Candidate {
        id: CandidateId::of(baseline.source),
        name: baseline.name.to_owned(),
        origin: ORIGIN.to_owned(),
        thought: title(baseline),
        source: baseline.source.to_owned(),
        parents: Vec::new(),
        genotype: None,
    }
}

/// The first line of its head: what it is called, and who published it.
fn title(baseline: &Baseline) -> String {
    let first = baseline.source.lines().next().unwrap_or_default();
    first.trim_start_matches("//!").trim().to_owned()
}

/// Identity of these baselines' sources: a change of one may change every result.
pub(crate) fn digest<'a>(sources: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for source in sources {
        digest.update((source.len() as u64).to_le_bytes());
        digest.update(source);
    }
    hex(&digest.finalize()[..8])
}
