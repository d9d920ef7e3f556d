//! The memory of the gates: what the compiler and the probe said before, kept on disk under a seal.
//!
//! Only these two gates are worth remembering. The source and the component gate take less than a millisecond and always
//! run, on remembered bytes too, so a remembered component is looked at as closely as a new one. The memory lives inside
//! this crate, because it makes the types that otherwise only a gate makes: an answer is believed if it was sealed by
//! this user's key as the answer to this very question, and the question names everything that the answer depends on.
//!
//! Kept are components, metadata, what the probe measured, and rejections that would be the same tomorrow. Never kept:
//! machine code, and verdicts of a clock or of a full machine. A memory that cannot be used costs time and nothing else.

mod answer;
mod question;
mod seal;
mod shelf;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::limits::CACHE_BYTES_MAX;
use crate::{AuditedComponent, Component, Failure, Fault, Notify, ProbedPlugin, Rejection};

use answer::Answer;
pub(crate) use question::Conditions;
use question::Question;
use seal::Seal;
use shelf::{Found, Shelf};

/// Whether verdicts and components are remembered between runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachePolicy {
    /// Every gate runs every time.
    Off,
    /// Answers of the compiler and of the probe are kept in [`crate::Options::cache_dir`], up to
    /// [`CACHE_BYTES_MAX`], the least recently used going first.
    ///
    /// Each is sealed with HMAC-SHA-256 under the key in `key_file`: 32 random bytes, made when they are first needed,
    /// readable by their owner alone. An entry whose seal does not fit is reported through [`crate::Options::notify`],
    /// deleted, and made again.
    ///
    /// **Covered:** entries that were damaged, altered, exchanged for one another or written by anybody who cannot read
    /// the key: another user of a shared folder, or whoever fills a folder that is restored from elsewhere, as the
    /// caches of build services are. Keep `key_file` out of such a folder; it must never travel with the entries.
    ///
    /// **Not covered:** whoever can read the key, which includes every program of the same user, can seal anything; they
    /// could as well replace the compiler. Deleting entries is no attack: they are made again. The built SDK in the same
    /// folder is not sealed.
    Keep {
        /// Where the key is.
        key_file: PathBuf,
    },
}

/// Answers to questions that were asked before. Shareable between threads; processes may share its folder.
pub(crate) struct Cache {
    folder: PathBuf,
    policy: CachePolicy,
    conditions: Conditions,
    notify: Option<Notify>,
    /// Opened by the first question: a host that asks none leaves no trace.
    shelf: OnceLock<Option<Shelf>>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cache")
            .field("folder", &self.folder)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Cache {
    /// The memory below `cache_dir` of gates that run under these conditions.
    pub(crate) fn new(
        cache_dir: &Path,
        policy: CachePolicy,
        conditions: Conditions,
        notify: Option<Notify>,
    ) -> Self {
        Cache {
            folder: cache_dir.join("verdicts"),
            policy,
            conditions,
            notify,
            shelf: OnceLock::new(),
        }
    }

    /// What the compiler made of these files, now or earlier. The component gate comes after this in either case.
    pub(crate) fn compiled<'a>(
        &self,
        form: &str,
        files: impl IntoIterator<Item = &'a [u8]>,
        compile: impl FnOnce() -> Result<Component, Failure>,
    ) -> Result<Component, Failure> {
        let Some(shelf) = self.shelf() else {
            return compile();
        };
        let question = self.conditions.question(form, files);
        match self.recall(shelf, &question) {
            Some(Answer::Component(bytes)) => return Ok(Component::from_bytes(bytes)),
            Some(Answer::Rejected(rejection)) => return Err(rejection.into()),
            Some(Answer::Probed(..)) | None => {}
        }
        let outcome = compile();
        match &outcome {
            Ok(component) => {
                let bytes = component.clone().into_bytes();
                self.keep(shelf, &question, &Answer::Component(bytes));
            }
            Err(failure) => self.keep_rejection(shelf, &question, failure),
        }
        outcome
    }

    /// What the probe found, now or earlier, of a component that has just passed the component gate.
    pub(crate) fn probed(
        &self,
        component: AuditedComponent,
        probe: impl FnOnce(AuditedComponent) -> Result<ProbedPlugin, Failure>,
    ) -> Result<ProbedPlugin, Failure> {
        let Some(shelf) = self.shelf() else {
            return probe(component);
        };
        let question = self.conditions.question("probe", [component.bytes()]);
        match self.recall(shelf, &question) {
            Some(Answer::Probed(metadata, report)) => {
                return Ok(ProbedPlugin::remembered(component, metadata, report));
            }
            Some(Answer::Rejected(rejection)) => return Err(rejection.into()),
            Some(Answer::Component(_)) | None => {}
        }
        let outcome = probe(component);
        match &outcome {
            Ok(plugin) => {
                let answer = Answer::Probed(plugin.metadata().clone(), plugin.report().clone());
                self.keep(shelf, &question, &answer);
            }
            Err(failure) => self.keep_rejection(shelf, &question, failure),
        }
        outcome
    }

    fn shelf(&self) -> Option<&Shelf> {
        let CachePolicy::Keep { key_file } = &self.policy else {
            return None;
        };
        let open = || Shelf::open(&self.folder, Seal::open(key_file)?, CACHE_BYTES_MAX);
        self.shelf
            .get_or_init(|| {
                open()
                    .map_err(|fault: Fault| self.say(&format!("verdicts are not cached: {fault}")))
                    .ok()
            })
            .as_ref()
    }

    fn recall(&self, shelf: &Shelf, question: &Question) -> Option<Answer> {
        match shelf.find(question) {
            Found::Nothing => None,
            Found::Sealed(bytes) => Answer::decode(&bytes),
            Found::Broken(path) => {
                self.say(&format!(
                    "the cached verdict {} is damaged or was tampered with; it is made again",
                    path.display()
                ));
                None
            }
        }
    }

    fn keep_rejection(&self, shelf: &Shelf, question: &Question, failure: &Failure) {
        if let Failure::Rejected(rejection) = failure
            && is_the_same_tomorrow(rejection)
        {
            self.keep(shelf, question, &Answer::Rejected((**rejection).clone()));
        }
    }

    /// An answer that cannot be kept, or would not read back as it is, is not: the next one who asks waits for it.
    fn keep(&self, shelf: &Shelf, question: &Question, answer: &Answer) {
        let Some(bytes) = answer.encode() else { return };
        if let Err(fault) = shelf.put(question, &bytes) {
            self.say(&format!("a verdict is not cached: {fault}"));
        }
    }

    fn say(&self, text: &str) {
        if let Some(notify) = &self.notify {
            notify(text);
        }
    }
}

/// Whether a verdict depends on nothing but its question. A list of what is known to: a rule that is not here is asked
/// again each time.
///
/// Not here are the clocks and crashes, and what a machine without memory or disk can cause: `run/trap` and `run/world`
/// (memory that cannot be mapped), and compiler errors that are about no line of the author's.
fn is_the_same_tomorrow(rejection: &Rejection) -> bool {
    match rejection.rule.as_str() {
        "compile/rustc" => rejection.span.is_some(),
        "compile/crate-manifest" | "run/fuel" | "run/error" | "run/lengths" => true,
        rule => rule.starts_with("probe/"),
    }
}

#[cfg(test)]
mod tests;
