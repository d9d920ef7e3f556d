//! What must hold for any input that a stranger can send: one module for each way in.
//!
//! A module makes an input out of arbitrary bytes and holds what happens to it against its property: no panic, no
//! hang, the same answer twice, and nothing accepted that must not be. The tests give it seeded bytes, the fuzz targets
//! in `tests/fuzz` a fuzzer's. Bytes that run out make a smaller input, never an error.

pub mod call;
pub mod component;
mod mutate;
pub mod pairs;
#[path = "../../../host/cli/src/pairs_file.rs"]
#[allow(dead_code, reason = "the command line's own reader, without the command line around it")]
mod pairs_file;
pub mod source;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Bytes that are the same for the same seed everywhere; between 16 and 4,096 of them.
pub fn bytes(seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let length = 16 << (random.next_u32() % 9);
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

/// What became of an input, for statistics: most inputs should be rejected, and not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The gate let it through.
    Accepted,
    /// By the rule of this name.
    Rejected(&'static str),
}

/// Makes an input of the bytes and panics where what must hold of it does not.
pub type Property = fn(&[u8]) -> Verdict;

/// A property by the name of its fuzz target.
pub const ALL: [(&str, Property); 4] = [
    ("source_audit", source::check),
    ("component_audit", component::check),
    ("plugin_call", call::check),
    ("pairs_json", pairs::check),
];

/// The rule's own name, which lives as long as the program.
fn rejected(rule: &str) -> Verdict {
    let page = sandbox::rules::all().into_iter().find(|page| page.name == rule);
    Verdict::Rejected(
        page.unwrap_or_else(|| panic!("{rule} is no rule that lossbox rules lists")).name,
    )
}
