//! What an answer depends on, as one hash: the question that it answers.
//!
//! A change of anything named here makes another question, so nothing stale is ever found. What is not named: the
//! kernel, the linker's libraries, and whatever else the compiler's version does not tell.

use sha2::{Digest, Sha256};

use crate::compile::{Toolchain, sdk_hash};
use crate::hash::{add, hex};

/// Changes when the same answer is written differently.
const CACHE_VERSION: &str = "1";

/// Everything about this machine and this program that an answer depends on.
pub(crate) struct Conditions(Sha256);

impl Conditions {
    /// The compiler (`rustc -vV`, which names the host too), the SDK, the source of all gates and limits with the
    /// versions of their dependencies (as build.rs found them), and `others`: settings that change what a gate does.
    pub(crate) fn new(toolchain: &Toolchain, others: &[&str]) -> Self {
        Self::of(toolchain.version(), &sdk_hash(), others)
    }

    pub(super) fn of(toolchain: &str, sdk: &str, others: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        let fixed = [
            "lossbox verdict",
            CACHE_VERSION,
            env!("CARGO_PKG_VERSION"),
            env!("LOSSBOX_GATES"),
            toolchain,
            sdk,
        ];
        add_all(&mut hasher, fixed.iter().map(|text| text.as_bytes()));
        add_all(&mut hasher, others.iter().map(|text| text.as_bytes()));
        Conditions(hasher)
    }

    /// What is asked about `content` under these conditions; `form` keeps apart what is asked in different ways.
    pub(super) fn question<'a>(
        &self,
        form: &str,
        content: impl IntoIterator<Item = &'a [u8]>,
    ) -> Question {
        let mut hasher = self.0.clone();
        add(&mut hasher, form.as_bytes());
        add_all(&mut hasher, content);
        Question(hasher.finalize().into())
    }
}

/// The identity of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question([u8; 32]);

impl Question {
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The name of the file that holds the answer.
    pub(super) fn file_name(&self) -> String {
        hex(&self.0)
    }
}

/// A list, then its length: no list is the beginning of another.
fn add_all<'a>(hasher: &mut Sha256, parts: impl IntoIterator<Item = &'a [u8]>) {
    let mut n_parts = 0_u64;
    for part in parts {
        add(hasher, part);
        n_parts += 1;
    }
    hasher.update(u64::MAX.to_le_bytes());
    hasher.update(n_parts.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(toolchain: &str, sdk: &str, others: &[&str], form: &str, content: &[&str]) -> Question {
        Conditions::of(toolchain, sdk, others)
            .question(form, content.iter().map(|text| text.as_bytes()))
    }

    #[test]
    fn whatever_an_answer_depends_on_makes_another_question() {
        let asked = ask("rustc 1", "sdk", &["confined"], "file", &["a", "b"]);
        assert_eq!(asked, ask("rustc 1", "sdk", &["confined"], "file", &["a", "b"]));
        for other in [
            ask("rustc 2", "sdk", &["confined"], "file", &["a", "b"]),
            ask("rustc 1", "sdk2", &["confined"], "file", &["a", "b"]),
            ask("rustc 1", "sdk", &[], "file", &["a", "b"]),
            ask("rustc 1", "sdk", &["confined"], "crate", &["a", "b"]),
            ask("rustc 1", "sdk", &["confined"], "file", &["a", "c"]),
            ask("rustc 1", "sdk", &["confined"], "file", &["ab"]),
            ask("rustc 1", "sdk", &["confined"], "file", &["a", "b", ""]),
            ask("rustc 1", "sdk", &["confined", "file"], "a", &["b"]),
        ] {
            assert_ne!(asked, other);
        }
    }
}
