//! Pairs on disk, so that candidates, workers and later runs share them.
//!
//! The file's name is a digest of all that the pairs depend on: settings, assets, the version of this code and
//! the instruction set, since sums are rounded by it. What is read is an allegation until its own digest
//! and every pair have been checked; a file that fails is made anew. Not here: how pairs are made (`pairs`).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::assets;
use super::settings::PairSettings;
use crate::fault::Fault;
use crate::files;
use crate::hash::hex;
use crate::model::DecoderConfig;
use crate::pairs::ReferencedPair;

/// Counted up whenever the same settings come to mean other pairs.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Cached {
    /// Digest of `pairs` as JSON.
    digest: String,
    pairs: Vec<ReferencedPair>,
}

/// The file that pairs of these settings belong in.
pub(super) fn path(cache_dir: &Path, settings: &PairSettings) -> PathBuf {
    let mut digest = Sha256::new();
    digest.update(FORMAT.to_le_bytes());
    digest.update(instruction_set());
    digest.update(serde_json::to_vec(settings).expect("numbers are JSON"));
    assets::fingerprint(&mut digest);
    cache_dir.join(format!("sentiment-pairs-{}.json", &hex(&digest.finalize())[..16]))
}

/// The pairs, or why the file is of no use.
pub(super) fn read(path: &Path, config: &DecoderConfig) -> Result<Vec<ReferencedPair>, String> {
    let bytes = files::read(path).map_err(|fault| fault.without_hint())?;
    let cached: Cached = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if digest_of(&cached.pairs) != cached.digest {
        return Err("its content does not fit its digest".into());
    }
    match cached.pairs.iter().position(|pair| !is_sound(pair, config)) {
        Some(index) => Err(format!("pair {index} does not fit the model")),
        None => Ok(cached.pairs),
    }
}

/// Writes the pairs, all or nothing.
pub(super) fn write(path: &Path, pairs: &[ReferencedPair]) -> Result<(), Fault> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| Fault::file("create", folder, source))?;
    }
    let cached = Cached { digest: digest_of(pairs), pairs: pairs.to_vec() };
    files::write(path, &serde_json::to_vec(&cached).expect("finite numbers are JSON"))
}

fn is_sound(pair: &ReferencedPair, config: &DecoderConfig) -> bool {
    let tokens = &pair.pair;
    let longest = tokens.prompt.len() + tokens.chosen.len().max(tokens.rejected.len());
    let is_log_prob = |logp: f64| logp.is_finite() && logp <= 0.0;
    [&tokens.prompt, &tokens.chosen, &tokens.rejected].iter().all(|list| {
        !list.is_empty() && list.iter().all(|token| (*token as usize) < config.vocabulary)
    }) && tokens.rejected_prompt.is_none()
        && longest <= config.context
        && is_log_prob(pair.reference.chosen)
        && is_log_prob(pair.reference.rejected)
}

fn digest_of(pairs: &[ReferencedPair]) -> String {
    hex(&Sha256::digest(serde_json::to_vec(pairs).expect("finite numbers are JSON")))
}

/// The widest instruction set that the arithmetic finds on this machine.
fn instruction_set() -> String {
    #[cfg(target_arch = "x86_64")]
    let widest = if std::arch::is_x86_feature_detected!("avx512f") {
        "avx512f"
    } else if std::arch::is_x86_feature_detected!("fma") {
        "fma"
    } else {
        "sse2"
    };
    #[cfg(not(target_arch = "x86_64"))]
    let widest = "baseline";
    format!("{}-{widest}", std::env::consts::ARCH)
}
