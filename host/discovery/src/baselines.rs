//! The published losses that open every archive, embedded so that they are there in any directory.
//!
//! They are plugins like any other: a run takes them through the same gates as a proposal. Their texts live in the
//! project's plugins folder, not here.

use sha2::{Digest, Sha256};

use crate::candidate::{Candidate, CandidateId, hex};

/// A published loss as plugin source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// Its name, which is also its file's.
    pub name: &'static str,
    /// The one-file plugin.
    pub source: &'static str,
}

macro_rules! plugins {
    ($($name:literal),* $(,)?) => {
        &[$(Baseline {
            name: $name,
            source: include_str!(concat!("../../../plugins/", $name, ".rs")),
        }),*]
    };
}

/// Every built-in loss, in the order in which they are trained: classics first, then DiscoPOP's discoveries.
pub const ALL: &[Baseline] = plugins![
    "dpo", "slic", "ipo", "cdpo", "simpo", "kto_pair", "discopop", "aql", "dbaql", "aqfl", "padll",
    "cell", "pfl",
];

/// The built-in loss of this name.
pub fn named(name: &str) -> Option<&'static Baseline> {
    ALL.iter().find(|baseline| baseline.name == name)
}

impl Baseline {
    /// The origin of baselines as candidates.
    pub(crate) const ORIGIN: &'static str = "baseline";

    /// As a run sees it.
    pub(crate) fn candidate(&self) -> Candidate {
        Candidate {
            id: CandidateId::of(self.source),
            name: self.name.to_owned(),
            origin: Baseline::ORIGIN.to_owned(),
            thought: self.title(),
            source: self.source.to_owned(),
            parents: Vec::new(),
            genotype: None,
        }
    }

    /// The first line of its head: what it is called, and who published it.
    fn title(&self) -> String {
        let first = self.source.lines().next().unwrap_or_default();
        first.trim_start_matches("//!").trim().to_owned()
    }
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
